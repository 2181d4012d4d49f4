"""Some of the attacks for a few seconds; `make noisy` has all of them, and measures."""

from pathlib import Path

import pytest

from tests.noisy.rows import ROWS
from tests.noisy.trial import play
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
    assert [row.what for row in ROWS.values() if f"| {row.what} |" not in text] == []
