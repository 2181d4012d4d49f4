"""The page's texts."""

import re
from collections import Counter
from typing import get_args

from monitor.lms.enrolment_report import RosterField
from tests.support.paths import ROOT

STATIC = ROOT / "monitor" / "static"


FILES = (*STATIC.glob("*-texts.js"), STATIC / "i18n.js")
NAMES = Counter(
    name for file in FILES for name in re.findall(r"^  (\w+): ?\[", file.read_text(), re.MULTILINE)
)


def test_no_two_texts_have_one_name() -> None:
    assert len(NAMES) > 300
    assert [name for name, count in NAMES.items() if count > 1] == []


def test_each_text_is_used() -> None:
    code = "\n".join(path.read_text() for path in (*STATIC.glob("*.js"), STATIC / "types.d.ts"))
    whole = set(re.findall(r"""["'`](\w+)["'`]""", code)) | set(re.findall(r"\.(\w+)", code))
    fields = set(get_args(RosterField))
    starts = tuple(re.findall(r"`(\w+_)\$\{", code))
    ends = tuple(re.findall(r"\}(_\w+)`", code))
    unused = [
        name
        for name in NAMES
        if name not in whole | fields and not name.startswith(starts) and not name.endswith(ends)
    ]
    assert unused == []
