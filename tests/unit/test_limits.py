"""Allowances: fixed windows of a minute for callers and networks."""

import pytest

from monitor.auth import limits
from monitor.auth.limits import Allowances, Limiter, Rates, rates_for
from monitor.auth.principal import Principal
from monitor.errors import OverLimit

RATES = Rates(requests=3, events=10, bytes=100)


class Clock:
    """Stands in for the `time` module."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(limits, "time", clock)
    return clock


def test_a_window_ends_after_a_minute(clock: Clock) -> None:
    allowance = Allowances(RATES)["192.0.2.1"]
    for _ in range(3):
        allowance.ask()
    clock.now += 59
    with pytest.raises(OverLimit, match="3 requests a minute") as refused:
        allowance.ask()
    assert refused.value.seconds == pytest.approx(1.0)
    clock.now += 1
    allowance.ask()


def test_a_window_may_end_while_a_body_arrives(clock: Clock) -> None:
    allowance = Allowances(RATES)["192.0.2.1"]
    allowance.ask()
    allowance.spend(10, 1)
    clock.now += 59
    allowance.ask()
    clock.now += 1
    allowance.spend(10, 1)


def test_what_is_refused_is_not_counted(clock: Clock) -> None:
    allowance = Allowances(RATES)["192.0.2.1"]
    allowance.ask()
    with pytest.raises(OverLimit, match="10 events a minute"):
        allowance.spend(11, 1)
    with pytest.raises(OverLimit, match="100 bytes a minute"):
        allowance.spend(1, 101)
    allowance.spend(10, 100)
    with pytest.raises(OverLimit, match="10 events a minute"):
        allowance.spend(1, 0)


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("", "no address", False),
        (Principal("student", "a", 1.0), Principal("student", "a", 2.0), True),
        (Principal("student", "1"), Principal("key", "1"), False),
    ],
)
def test_an_allowance_is_a_networks_or_a_callers(
    one: str | Principal, other: str | Principal, shared: bool
) -> None:
    allowances = Allowances(RATES)
    assert (allowances[one] is allowances[other]) == shared


def test_memory_is_bounded_and_nobody_gains_by_it(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_MAX_ALLOWANCES", 4)
    allowances = Allowances(RATES)
    spent = allowances["192.0.2.1"]
    for _ in range(3):
        spent.ask()
    for number in range(20):
        allowances[f"198.51.100.{number}"].ask()
    with pytest.raises(OverLimit):
        allowances["192.0.2.1"].ask()
    clock.now += 60
    for number in range(20):
        allowances[f"203.0.113.{number}"].ask()
        clock.now += 60
    assert len(allowances) <= 4
    assert len(allowances._by_key) <= 50


def test_sockets_are_counted_while_they_are_open() -> None:
    limiter = Limiter(RATES, sockets=1)
    with limiter.socket("a"):
        with limiter.socket("b"):
            pass
        with pytest.raises(OverLimit, match="At most 1 sockets"), limiter.socket("a"):
            pass
    with limiter.socket("a"):
        pass


def test_request_and_byte_limits_follow_from_events() -> None:
    assert rates_for(300_000) == Rates(60_000, 300_000, 1_080_000_000)
    assert rates_for(1).requests == 1
