"""Some of the attacks for a few seconds; `make noisy` has all of them, and measures."""

from pathlib import Path

import pytest

from tests.noisy.rows import ROWS
from tests.noisy.table import NOBODY, NoTable, figures, update
from tests.noisy.trial import Result, play
from tests.noisy.watch import Watched
from tests.support.paths import ROOT
from tests.support.postgres import Address

SECONDS = 3.0
SLOWEST = 1.0  # seconds of a probe: other tests run at the same time


@pytest.mark.parametrize("name", ["stalled-bodies", "unknown-keys"])
async def test_the_others_events_are_stored(
    postgres_server: Address, tmp_path: Path, name: str
) -> None:
    result = await play(postgres_server, tmp_path, name, SECONDS)
    assert result.outcomes
    assert result.stored == result.posted > 0
    assert result.spooled == 0
    assert result.watched.failed == []
    assert result.watched.slowest < SLOWEST


def test_the_documentation_has_every_attack() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    attacks = [NOBODY, *(row.what for row in ROWS.values())]
    assert [each for each in attacks if f"\n| {each} |" not in text] == []


def test_figures_are_put_into_the_documents_row(tmp_path: Path) -> None:
    document = tmp_path / "security.md"
    document.write_text((ROOT / "docs" / "security.md").read_text())
    what = ROWS["cells"].what
    result = Result(
        post=0.012,
        live=0.0146,
        watched=Watched(slowest=0.003, memory=120_000_000, failed=[]),
        posted=30,
        stored=30,
        spooled=0,
        problems=[],
    )
    before = document.read_text().splitlines()
    update(document, what, figures(result, []))
    changed = set(document.read_text().splitlines()) - set(before)
    assert changed == {f"| {what} | 12 ms | 15 ms | 3 ms | 120 MB | 30 of 30 | yes |"}
    with pytest.raises(NoTable):
        update(document, "does nothing", figures(result, []))
