"""Each fault once, for a few seconds; `make chaos` has the long form."""

import time

import pytest

from tests.chaos.faults import FAULTS, possible
from tests.chaos.reckoning import Reckoning
from tests.chaos.rounds import Game, Hand, side_by_side

pytestmark = pytest.mark.needs("redis", "influxdb", "pgbouncer")

OUTAGE = 1.0  # seconds
JOBS = 2
QUICK = [name for name in possible() if not FAULTS[name].slow]


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest) -> dict[str, Reckoning]:
    """The results of the selected faults, run side by side: most of a round is waiting."""
    asked = [
        str(item.callspec.params["fault"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path
    ]
    hands = [Hand(names, 1) for number in range(JOBS) if (names := asked[number::JOBS])]
    return dict(side_by_side(hands, Game(OUTAGE, str(time.time_ns())), JOBS))


@pytest.mark.parametrize("fault", QUICK)
def test_nothing_acknowledged_is_lost_doubled_or_misplaced(
    results: dict[str, Reckoning], fault: str
) -> None:
    reckoning = results[fault]
    assert not reckoning.failure, reckoning.failure
    assert reckoning.acknowledged
    assert (reckoning.missing, reckoning.twice, reckoning.without_point) == (0, 0, 0)
    assert reckoning.misplaced == []
    assert reckoning.counters_off == []
    assert reckoning.refused == []
