"""Allowances: fixed windows of a minute for callers and networks."""

import pytest

from monitor.auth import limits
from monitor.auth.call import Call
from monitor.auth.limits import Allowances, Limiter, Rates, rates_for
from monitor.auth.permissions import Permission
from monitor.auth.principal import NOBODY, Principal, person
from monitor.errors import OverLimit
from monitor.shares import Refusals

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
    allowance = Allowances(RATES, Refusals("x"))["192.0.2.1"]
    for _ in range(3):
        allowance.ask()
    clock.now += 59
    with pytest.raises(OverLimit, match="3 requests a minute") as refused:
        allowance.ask()
    assert refused.value.seconds == pytest.approx(1.0)
    clock.now += 1
    allowance.ask()


def test_a_window_may_end_while_a_body_arrives(clock: Clock) -> None:
    allowance = Allowances(RATES, Refusals("x"))["192.0.2.1"]
    allowance.ask()
    allowance.spend(10, 1)
    clock.now += 59
    allowance.ask()
    clock.now += 1
    allowance.spend(10, 1)


def test_what_is_refused_is_not_counted(clock: Clock) -> None:
    allowance = Allowances(RATES, Refusals("x"))["192.0.2.1"]
    allowance.ask()
    with pytest.raises(OverLimit, match="10 events a minute"):
        allowance.spend(11, 1)
    with pytest.raises(OverLimit, match="100 bytes a minute"):
        allowance.spend(1, 101)
    allowance.spend(10, 100)
    with pytest.raises(OverLimit, match="10 events a minute"):
        allowance.spend(1, 0)


KEY = Principal("key", "key 1", class_id=1)
TOKEN = Principal("key", "token 1", student="ann")


def call(principal: Principal, host: str) -> Call:
    return Call(Permission(), principal, host=host)


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (call(NOBODY, "192.0.2.1"), call(NOBODY, "192.0.2.2"), False),
        (call(NOBODY, "2001:db8::1"), call(NOBODY, "2001:db8::ffff"), True),
        (call(NOBODY, "2001:db8::1"), call(NOBODY, "2001:db8:0:1::1"), False),
        (call(NOBODY, "::ffff:192.0.2.1"), call(NOBODY, "192.0.2.1"), True),
        (call(NOBODY, ""), call(NOBODY, "no address"), False),
        (call(person("student", "a", 1.0), "x"), call(person("student", "a", 2.0), "y"), True),
        (call(person("student", "a"), "x"), call(person("student", "b"), "x"), False),
        (call(person("student", "a"), "x"), call(NOBODY, "x"), False),
        (call(person("student", "key 1"), "x"), call(KEY, "x"), False),
        (call(TOKEN, "x"), call(TOKEN, "y"), True),
        (call(KEY, "x"), call(KEY, "x"), True),
        (call(KEY, "x"), call(KEY, "y"), False),
    ],
)
def test_an_allowance_is_a_credentials_or_an_addresses(
    one: Call, other: Call, shared: bool
) -> None:
    limiter = Limiter(RATES)
    first, second = (limiter.of(each.principal, each.payer)[0] for each in (one, other))
    assert (first is second) == shared


def test_a_shared_key_has_an_allowance_and_each_address_half_of_it() -> None:
    limiter = Limiter(Rates(requests=4, events=100, bytes=100))
    here, there = (limiter.of(KEY, call(KEY, host).payer) for host in ("x", "y"))
    assert here[1] is there[1]
    for _ in range(2):
        for allowance in here:
            allowance.ask()
    with pytest.raises(OverLimit, match="At most 2 requests"):
        here[0].ask()
    for allowance in there:
        allowance.ask()


def test_memory_is_bounded_and_nobody_gains_by_it(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_MAX_ALLOWANCES", 4)
    allowances = Allowances(RATES, Refusals("x"))
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
    assert len(allowances) <= 50


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


def test_answers_to_who_is_refused_again_and_again_are_delayed(clock: Clock) -> None:
    allowance = Allowances(RATES, Refusals("x"))["192.0.2.1"]
    for _ in range(3):
        allowance.ask()
    delays = []
    for _ in range(60):
        with pytest.raises(OverLimit) as refused:
            allowance.ask()
        delays.append(refused.value.delay)
    assert delays == [0.0] * 50 + [1.0] * 10
    clock.now += 60
    for _ in range(3):
        allowance.ask()
    with pytest.raises(OverLimit) as refused:
        allowance.ask()
    assert refused.value.delay == 0.0
