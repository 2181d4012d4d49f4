"""Rate limits of callers, per minute, and the limit of open sockets."""

import time
from contextlib import AbstractContextManager
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from monitor.auth.principal import Principal
from monitor.errors import OverLimit
from monitor.shares import Refusals, Share

_WINDOW = 60.0  # seconds
_MAX_ALLOWANCES = 50_000
MAX_SOCKETS = 100  # WebSockets of one caller
_REFUSED_AT_ONCE = 50  # in a window, before the answers are delayed
_ALL_SOCKETS = 100_000  # beyond what the operating system lets a process have
# Assumed averages: the fewest events in a request, and the most bytes in an event.
_EVENTS_PER_REQUEST = 5
_BYTES_PER_EVENT = 3_600


class Rates(NamedTuple):
    """What one caller may send in a minute."""

    requests: int
    events: int
    bytes: int


def rates_for(events: int) -> Rates:
    """The limits that suit so many events a minute."""
    return Rates(max(1, events // _EVENTS_PER_REQUEST), events, events * _BYTES_PER_EVENT)


def _part(rates: Rates, divisor: int) -> Rates:
    return Rates(*(-(-amount // divisor) for amount in rates))  # rounded up


class Limiter:
    """Counts what callers do, in one replica, by fixed windows of a minute.

    An address counts for who has no credential. A key that a class shares has two allowances, for
    itself and, half as large, for the address: others still have the rest. A student has a tenth of
    what a class has.
    """

    def __init__(self, rates: Rates, sockets: int = MAX_SOCKETS) -> None:
        self.refusals = Refusals("requests, events and bytes a minute")
        self.sockets = Share("sockets", each=sockets, total=_ALL_SOCKETS)
        self._callers = Allowances(rates, self.refusals)
        self._addresses = Allowances(_part(rates, 2), self.refusals)
        self._students = Allowances(_part(rates, 10), self.refusals)

    def of(self, principal: Principal, payer: str) -> "tuple[Allowance, ...]":
        """The allowances of a call; `payer` is the call's."""
        if principal.is_student:
            return (self._students[payer],)
        if payer == principal.key or principal.role in ("anyone", "admin"):
            return (self._callers[payer],)
        return self._addresses[payer], self._callers[principal.key]

    def socket(self, payer: str) -> AbstractContextManager[None]:
        """Counts an open socket. Raises OverLimit when the caller has too many."""
        return self.sockets.hold(payer)


class Allowances(dict[str, "Allowance"]):
    """The allowance of each caller, created at the first request."""

    def __init__(self, rates: Rates, refusals: Refusals) -> None:
        self._rates = rates
        self._refusals = refusals
        self._prune_at = _MAX_ALLOWANCES

    def __missing__(self, caller: str) -> "Allowance":
        if len(self) >= self._prune_at:
            now = time.monotonic()
            for ended in [key for key, each in self.items() if each.ends <= now]:
                del self[ended]
            self._prune_at = max(_MAX_ALLOWANCES, 2 * len(self))
        allowance = self[caller] = Allowance(self._rates, self._refusals)
        return allowance


class Allowance:
    """The remaining allowance of a caller in the present window.

    The window begins with the first request after the one before has ended, at `ends` (by
    `time.monotonic`). Refused requests take nothing of it; after many the refusals are delayed.
    """

    __slots__ = ("_rates", "_refusals", "_refused", "bytes", "ends", "events", "requests")

    def __init__(self, rates: Rates, refusals: Refusals) -> None:
        self._rates = rates
        self._refusals = refusals
        self.ends = 0.0
        self.requests = self.events = self.bytes = self._refused = 0

    def ask(self) -> None:
        """Counts a request. Raises OverLimit."""
        if time.monotonic() >= self.ends:
            self._renew()
        if not self.requests:
            raise self._over("requests", self._rates.requests)
        self.requests -= 1

    def spend(self, events: int, size: int) -> None:
        """Counts what a request carries, after `ask`; `size` is in bytes. Raises OverLimit."""
        if events > self.events or size > self.bytes:
            if time.monotonic() >= self.ends:  # a window may end while a body arrives
                self._renew()
            if events > self.events:
                raise self._over("events", self._rates.events)
            if size > self.bytes:
                raise self._over("bytes", self._rates.bytes)
        self.events -= events
        self.bytes -= size

    def _renew(self) -> None:
        self.ends = time.monotonic() + _WINDOW
        self.requests, self.events, self.bytes = self._rates
        self._refused = 0

    def _over(self, what: str, amount: int) -> OverLimit:
        self._refusals.refused += 1
        self._refused += 1
        message, seconds = f"At most {amount} {what} a minute", self.ends - time.monotonic()
        if self._refused > _REFUSED_AT_ONCE:
            return OverLimit(message, seconds)
        return OverLimit(message, seconds, delay=0.0)


@lru_cache(10_000)
def network_of(address: str) -> str:
    """The address; for IPv6 the /64, the smallest allocation."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return (parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64)).compressed
    return address
