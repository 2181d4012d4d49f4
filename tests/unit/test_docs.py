"""The documentation is held to the files and the code it describes."""

import re
from pathlib import Path

import pytest

from monitor.settings import Settings
from tests.support.paths import ROOT

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "bench/README.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
PATH = re.compile(r"`((?:monitor|sql|tests|bench|scripts|deploy|docs)/[^`\s<*]*)`")
SETTING = re.compile(r"`([A-Z]+(?:_[A-Z0-9]+)+)`")
SETTINGS = {name.upper() for name in Settings.__struct_fields__}
OTHER_VARIABLES = {
    "ELASTICSEARCH_URL",
    "OUTAGE_SECONDS",
    "HTTP_PORT",
    "HTTPS_PORT",
    "HTTPS_PROXY",
    "PROXY_PROTOCOL_FROM",
}  # of no setting
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_files_named_exist(page: Path) -> None:
    names = PATH.findall(page.read_text())
    assert [name for name in names if not (ROOT / name).exists()] == []


@each_page
def test_links_lead_to_files(page: Path) -> None:
    links = LINK.findall(page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@each_page
def test_settings_named_exist(page: Path) -> None:
    found = SETTING.findall(page.read_text())
    names = {name for name in found if not name.startswith("OTEL_")}  # OpenTelemetry's own
    assert names - SETTINGS - OTHER_VARIABLES == set()


def test_architecture_names_each_folder() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    folders = [path.parent.name for path in (ROOT / "monitor").glob("*/__init__.py")]
    assert folders
    assert [name for name in folders if f"`monitor/{name}/`" not in text] == []


def test_the_page_names_every_event_error_and_close_code() -> None:
    page = (ROOT / "docs" / "live.md").read_text()
    sources = [ROOT / name for name in ("monitor/routes/live.py", "monitor/live/commands.py")]
    source = "".join(path.read_text() for path in sources)
    errors = set(re.findall(r'Error\(\s*"(\w+)"', source))
    errors |= {"forbidden", "over_limit", "unavailable"}
    events = set(re.findall(r'_reply\("(\w+)"', source)) | {"stale", "resumed"}
    assert len(errors) == 8
    assert len(events) >= 7
    for name in errors | events | {"1007", "1008", "1009", "1011", "1012", "3008", "4401", "4429"}:
        assert f"`{name}`" in page, name
