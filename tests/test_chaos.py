"""Each fault once, for a few seconds; `make chaos` has the long form."""

from collections.abc import AsyncIterator

import pytest

from tests.chaos.faults import possible
from tests.chaos.reckoning import totals_differ
from tests.chaos.rounds import play
from tests.chaos.site import Site, site

OUTAGE = 2.0  # seconds


@pytest.fixture(scope="module")
async def school() -> AsyncIterator[Site]:
    async with site() as here:
        yield here


@pytest.mark.parametrize("fault", possible())
async def test_nothing_acknowledged_is_lost_or_doubled(school: Site, fault: str) -> None:
    found = await play(school, fault, OUTAGE)
    assert found.acknowledged
    assert (found.missing, found.twice, found.without_point, found.refused) == (0, 0, 0, [])


async def test_all_counters_are_those_of_the_rows(school: Site) -> None:
    assert await totals_differ(school) == []
