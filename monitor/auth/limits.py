"""How much a caller, and an address, may do in a minute, and how many sockets it may hold."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from monitor.auth.principal import Principal
from monitor.errors import OverLimit

_PORTIONS = 100  # in which an account draws on its window
_MAX_ACCOUNTS = 50_000


class Rates(NamedTuple):
    """What one caller and one address may bring in a minute."""

    requests: int
    events: int
    bytes: int


class Limiter:
    """Counts what callers do, each under its name."""

    def __init__(self, rates: Rates, sockets: int) -> None:
        self.items = {
            what: RateLimitItemPerMinute(amount, namespace=what)
            for what, amount in rates._asdict().items()
        }
        self.windows = FixedWindowRateLimiter(MemoryStorage())
        self.accounts = Accounts(self)
        self._max_sockets = sockets
        self._sockets: Counter[str] = Counter()

    @contextmanager
    def socket(self, name: str) -> Iterator[None]:
        """Raises OverLimit when the caller has too many."""
        if self._sockets[name] >= self._max_sockets:
            raise OverLimit(f"At most {self._max_sockets} sockets at a time", 10)
        self._sockets[name] += 1
        try:
            yield
        finally:
            self._sockets[name] -= 1
            if not self._sockets[name]:
                del self._sockets[name]


class Accounts(dict[str | Principal, "Allowance"]):
    """The account of each address and of each caller, made when it is first asked for."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter

    def __missing__(self, who: str | Principal) -> "Allowance":
        if len(self) >= _MAX_ACCOUNTS:
            self.clear()  # the windows still know what has been drawn
        name = f"address {_network(who)}" if isinstance(who, str) else who.title
        account = self[who] = Allowance(self._limiter, name)
        return account


class Allowance:
    """What a caller, or an address, may still bring.

    `requests`, `events` and `bytes` are what is left of what was drawn of their windows: of each a
    hundredth at most, which may outlive it. Counted one by one, limits took as long as all else
    that is done for a request.
    """

    __slots__ = ("_limiter", "_name", "bytes", "events", "requests")

    def __init__(self, limiter: Limiter, name: str) -> None:
        self._limiter = limiter
        self._name = name
        self.requests = self.events = self.bytes = 0

    def ask(self) -> None:
        """Counts a request. Raises OverLimit."""
        self.requests -= 1
        if self.requests < 0:
            self._draw("requests", 1)

    def bring(self, events: int, size: int) -> None:
        """Counts what a request brings. Raises OverLimit."""
        self.events -= events
        if self.events < 0:
            self._draw("events", events)
        self.bytes -= size
        if self.bytes < 0:
            self._draw("bytes", size)

    def _draw(self, what: str, amount: int) -> None:
        item, windows, left = self._limiter.items[what], self._limiter.windows, getattr(self, what)
        for cost in (max(-left, item.amount // _PORTIONS), -left):
            # `hit` counts what it refuses, too.
            if windows.test(item, self._name, cost=cost):
                windows.hit(item, self._name, cost=cost)
                setattr(self, what, left + cost)
                return
        setattr(self, what, left + amount)
        end = windows.get_window_stats(item, self._name).reset_time
        raise OverLimit(f"At most {item.amount} {what} a minute", end - time.time())


def _network(address: str) -> str:
    """The address, or of an IPv6 one the network that its holder has at the least."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return (parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64)).compressed
    return address
