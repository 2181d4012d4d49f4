"""The page's texts."""

import re
from collections import Counter

from tests.support.paths import ROOT

STATIC = ROOT / "monitor" / "static"


def test_no_two_texts_have_one_name() -> None:
    files = (*STATIC.glob("*-texts.js"), STATIC / "i18n.js")
    names = Counter(
        name
        for file in files
        for name in re.findall(r"^  (\w+): ?\[", file.read_text(), re.MULTILINE)
    )
    assert len(names) > 300
    assert [name for name, count in names.items() if count > 1] == []
