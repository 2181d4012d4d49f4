"""Each fault once, for a few seconds; `make chaos` has the long form."""

from collections.abc import AsyncIterator

import pytest

from tests.chaos.faults import FAULTS, possible
from tests.chaos.reckoning import totals_differ
from tests.chaos.rounds import play
from tests.chaos.site import Site, site

OUTAGE = 1.0  # seconds
QUICK = [name for name in possible() if not FAULTS[name].slow]


@pytest.fixture(scope="module")
async def school() -> AsyncIterator[Site]:
    async with site() as here:
        yield here


@pytest.mark.parametrize("fault", QUICK)
async def test_nothing_acknowledged_is_lost_or_doubled(school: Site, fault: str) -> None:
    found = await play(school, fault, OUTAGE)
    assert found.acknowledged
    assert (found.missing, found.twice, found.without_point, found.refused) == (0, 0, 0, [])


async def test_all_counters_are_those_of_the_rows(school: Site) -> None:
    assert await totals_differ(school) == []
