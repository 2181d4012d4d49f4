"""How much a caller, and an address, may do in a minute, and how many sockets it may hold."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

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
        self.items = [
            RateLimitItemPerMinute(amount, namespace=what)
            for what, amount in rates._asdict().items()
        ]
        self.windows = FixedWindowRateLimiter(MemoryStorage())
        self._accounts: dict[str, Account] = {}
        self._max_sockets = sockets
        self._sockets: Counter[str] = Counter()

    def account(self, name: str) -> "Account":
        account = self._accounts.get(name)
        if account is None:
            if len(self._accounts) >= _MAX_ACCOUNTS:
                self._accounts.clear()  # the windows still know what has been drawn
            account = self._accounts[name] = Account(self, name)
        return account

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


class Portion:
    """What is left of what was drawn of a window: a hundredth of it at most, which may outlive it.

    Counted one by one, limits took as long as all else that is done for a request.
    """

    __slots__ = ("_item", "_left", "_name", "_windows")

    def __init__(self, windows: FixedWindowRateLimiter, item: RateLimitItem, name: str) -> None:
        self._windows = windows
        self._item = item
        self._name = name
        self._left = 0

    def take(self, amount: int) -> None:
        """Raises OverLimit."""
        self._left -= amount
        if self._left < 0:
            self._draw(amount)

    def _draw(self, amount: int) -> None:
        item, needed = self._item, -self._left
        drawn = next(
            (
                cost
                for cost in (max(needed, item.amount // _PORTIONS), needed)
                if self._windows.test(item, self._name, cost=cost)
                and self._windows.hit(item, self._name, cost=cost)  # it counts what it refuses, too
            ),
            None,
        )
        if drawn is None:
            self._left += amount
            end = self._windows.get_window_stats(item, self._name).reset_time
            message = f"At most {item.amount} {item.namespace} a minute"
            raise OverLimit(message, end - time.time())
        self._left += drawn


class Account:
    """What a caller, or an address, may still bring."""

    __slots__ = ("bytes", "events", "requests")

    def __init__(self, limiter: Limiter, name: str) -> None:
        portions = [Portion(limiter.windows, item, name) for item in limiter.items]
        self.requests, self.events, self.bytes = portions

    def bring(self, events: int, size: int) -> None:
        """Raises OverLimit."""
        self.events.take(events)
        self.bytes.take(size)


@lru_cache(10_000)
def address_account(address: str) -> str:
    """The name of an address's account."""
    return f"address {_network(address)}"


def _network(address: str) -> str:
    """The address, or of an IPv6 one the network that its holder has at the least."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return (parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64)).compressed
    return address
