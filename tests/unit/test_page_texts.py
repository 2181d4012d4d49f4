"""The page's texts, as they are written."""

import re

from tests.support.paths import ROOT

STATIC = ROOT / "monitor" / "static"
# 学生 inside another word would become another word for a class of 生徒.
COMPOUND = re.compile(r"[大中留]学生|学生[証寮課]")


def test_the_word_for_learners_can_be_replaced_wherever_it_stands() -> None:
    texts = [*STATIC.glob("*-texts.js"), STATIC / "i18n.js"]
    assert len(texts) > 10
    assert [path.name for path in texts if COMPOUND.search(path.read_text())] == []
