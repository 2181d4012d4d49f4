"""Each fault once, for a few seconds; `make chaos` has the long form."""

import time

import pytest

from tests.chaos.faults import FAULTS, possible
from tests.chaos.rounds import FaultResult, Game, side_by_side

pytestmark = pytest.mark.needs("redis", "influxdb")

OUTAGE = 1.0  # seconds
JOBS = 2
QUICK = [name for name in possible() if not FAULTS[name].slow]


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest) -> dict[str, FaultResult]:
    """The results of the selected faults, run side by side: most of a round is waiting."""
    asked = [
        str(item.callspec.params["fault"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path
    ]
    game = Game(1, OUTAGE, str(time.time_ns()))
    hands = [hand for number in range(JOBS) if (hand := asked[number::JOBS])]
    return {each.fault: each for each in side_by_side(hands, game, JOBS)}


@pytest.mark.parametrize("fault", QUICK)
def test_nothing_acknowledged_is_lost_or_doubled(
    results: dict[str, FaultResult], fault: str
) -> None:
    (reckoning,) = results[fault].rounds
    assert not reckoning.failure, reckoning.failure
    assert reckoning.acknowledged
    assert (reckoning.missing, reckoning.twice, reckoning.without_point) == (0, 0, 0)
    assert reckoning.refused == []
    assert results[fault].differing == []
