"""Rate limits of callers and addresses, per minute, and the limit of open sockets."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from monitor.auth.principal import Principal
from monitor.errors import OverLimit

_WINDOW = 60.0  # seconds
_MAX_ALLOWANCES = 50_000
MAX_SOCKETS = 100  # WebSockets of one caller
# Assumed averages: the fewest events in a request, and the most bytes in an event.
_EVENTS_PER_REQUEST = 5
_BYTES_PER_EVENT = 3_600


class Rates(NamedTuple):
    """What one caller and one address may send in a minute."""

    requests: int
    events: int
    bytes: int


def rates_for(events: int) -> Rates:
    """The limits that suit so many events a minute."""
    return Rates(max(1, events // _EVENTS_PER_REQUEST), events, events * _BYTES_PER_EVENT)


class Limiter:
    """Counts what callers and addresses do, in one replica, by fixed windows of a minute."""

    def __init__(self, rates: Rates, sockets: int = MAX_SOCKETS) -> None:
        self._max_sockets = sockets
        self.allowances = Allowances(rates)
        self._sockets: Counter[str] = Counter()

    @contextmanager
    def socket(self, key: str) -> Iterator[None]:
        """Counts an open socket. Raises OverLimit when the caller has too many."""
        if self._sockets[key] >= self._max_sockets:
            raise OverLimit(f"At most {self._max_sockets} sockets at a time", 10)
        self._sockets[key] += 1
        try:
            yield
        finally:
            self._sockets[key] -= 1
            if not self._sockets[key]:
                del self._sockets[key]


class Allowances(dict[str | Principal, "Allowance"]):
    """The allowance of each address and of each caller, created at the first request.

    Addresses of one network share an allowance, and so do all credentials of one caller.
    """

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._by_key: dict[str, Allowance] = {}
        self._prune_at = _MAX_ALLOWANCES

    def __missing__(self, caller: str | Principal) -> "Allowance":
        if len(self) >= _MAX_ALLOWANCES:
            self.clear()  # `_by_key` still has those in use
        if len(self._by_key) >= self._prune_at:
            now = time.monotonic()
            self._by_key = {key: each for key, each in self._by_key.items() if each.ends > now}
            self._prune_at = max(_MAX_ALLOWANCES, 2 * len(self._by_key))
        key = f"address {network_of(caller)}" if isinstance(caller, str) else caller.key
        allowance = self[caller] = self._by_key.setdefault(key, Allowance(self._rates))
        return allowance


class Allowance:
    """The remaining allowance of a caller, or an address, in the present window.

    The window begins with the first request after the one before has ended, at `ends` (by
    `time.monotonic`). Refused requests aren't counted.
    """

    __slots__ = ("_rates", "bytes", "ends", "events", "requests")

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self.ends = 0.0
        self.requests = self.events = self.bytes = 0

    def ask(self) -> None:
        """Counts a request. Raises OverLimit."""
        self._renew()
        if not self.requests:
            raise self._over("requests", self._rates.requests)
        self.requests -= 1

    def spend(self, events: int, size: int) -> None:
        """Counts what a request carries, after `ask`; `size` is in bytes. Raises OverLimit."""
        if events > self.events or size > self.bytes:
            self._renew()  # a window may end while a body arrives
            if events > self.events:
                raise self._over("events", self._rates.events)
            if size > self.bytes:
                raise self._over("bytes", self._rates.bytes)
        self.events -= events
        self.bytes -= size

    def _renew(self) -> None:
        now = time.monotonic()
        if now >= self.ends:
            self.ends = now + _WINDOW
            self.requests, self.events, self.bytes = self._rates

    def _over(self, what: str, amount: int) -> OverLimit:
        return OverLimit(f"At most {amount} {what} a minute", self.ends - time.monotonic())


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
