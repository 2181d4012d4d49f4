"""The documentation is held to the files and the code it describes."""

import re
import subprocess
from pathlib import Path
from textwrap import dedent

import pytest

from monitor.settings import Settings
from tests.support.paths import ROOT

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "bench/README.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
PATH = re.compile(r"`((?:monitor|sql|tests|bench|scripts|deploy|docs)/[^`\s<*]*)`")
SETTING = re.compile(r"`([A-Z]+(?:_[A-Z0-9]+)+)`")
SETTINGS = {name.upper() for name in Settings.__struct_fields__}
OTHER_VARIABLES = {
    "COMPOSE_FILE",
    "ELASTICSEARCH_URL",
    "OUTAGE_SECONDS",
    "PAGE_MINUTES",
    "READS_DATA",
    "HTTP_PORT",
    "HTTPS_PORT",
    "HTTPS_PROXY",
    "PROXY_PROTOCOL_FROM",
}  # of no setting
HOW_TOS = [
    *("upkeep.md", "proxies.md", "containers.md", "systemd.md", "login.md", "jupyterhub.md"),
    *("logs.md", "notifications.md", "handlers.md", "scaling.md"),
    *(
        f"operations.md#{heading}"
        for heading in (
            *("Connect", "Install", "A school, step by step", "Watch it"),
            *("Undo what was sent with a key", "Upgrade, and the schema", "Retention"),
            *("After a restore or a failover", "Count anew", "Rejected events", "A damaged spool"),
            *("Rebuild InfluxDB", "Several replicas"),
        )
    ),
]
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


@pytest.mark.parametrize("name", HOW_TOS)
def test_a_how_to_names_the_test_that_runs_it(name: str) -> None:
    page, _, heading = name.partition("#")
    text = (ROOT / "docs" / page).read_text()
    if heading:
        text = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    assert re.search(r"tests/(?:servers|browser|unit)/test_\w+\.py", text)


def test_each_section_for_operators_is_a_how_to_or_a_reference() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    headings = set(re.findall("^## (.+)$", text, re.MULTILINE))
    how_tos = {name.partition("#")[2] for name in HOW_TOS if "#" in name}
    assert headings == how_tos | {"Health", "Tuning", "Backups"}  # Backups leads to upkeep.md


def test_the_settings_of_a_school_are_read_alike_by_systemd_and_a_shell(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "operations.md").read_text().split("## A school, step by step")[1]
    block = dedent(text.split("```sh\n")[1].split("```")[0])
    lines = [line for line in block.splitlines() if not line.startswith("#")]
    named = dict(line.split("=", 1) for line in lines)
    assert set(named) <= SETTINGS
    assert [value for value in named.values() if " " in value or "#" in value] == []
    by_systemd = {name: value.strip("'") for name, value in named.items()}
    (tmp_path / "cell-monitor.env").write_text(block)
    script = "set -a; . ./cell-monitor.env; exec env -0"
    done = subprocess.run(
        ["/bin/sh", "-c", script], cwd=tmp_path, env={}, capture_output=True, text=True, check=True
    )
    by_shell = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    assert by_systemd.items() <= by_shell.items()


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
