"""Docs that are held to the code."""

import re

from tests.support.paths import ROOT

DOCS = ROOT / "docs"


def test_the_page_names_every_event_error_and_close_code() -> None:
    page = (DOCS / "live.md").read_text()
    source = (ROOT / "monitor/routes/live.py").read_text()
    errors = set(re.findall(r'Error\(\s*"(\w+)"', source))
    events = set(re.findall(r'_reply\("(\w+)"', source)) | {"stale", "resumed"}
    assert len(errors) == 8
    assert len(events) >= 7
    for name in errors | events | {"1007", "1009", "1011", "1012", "3008", "4401"}:
        assert f"`{name}`" in page, name
