"""Shares of what is scarce: bounded for each caller before it is bounded for all."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol

from monitor.errors import OverLimit, Unavailable
from monitor.health import SharesHealth

_RETRY_AFTER = 1.0  # seconds: what is held is given back soon
_UNBOUNDED = 1 << 62


class Refusals:
    """Counts how often a caller was `refused` more of something than their bound."""

    exhausted = 0  # no bound of all together

    def __init__(self, what: str) -> None:
        self.what = what
        self.refused = 0


class Share:
    """An amount, such as bytes in memory, that callers hold at the same time.

    `each` is the most that one caller may hold, `total` the most of all together; a caller's
    refusal is delayed by `delay` seconds. `refused` counts
    how often a caller was at their bound, and `exhausted` how often all were at theirs.
    """

    def __init__(self, what: str, *, each: int, total: int, delay: float = 1.0) -> None:
        self.what = what
        self._delay = delay
        self.refused = 0
        self.exhausted = 0
        self.held = 0
        self._each = each
        self._total = total
        self._by_caller: Counter[str] = Counter()

    def take(self, caller: str, amount: int = 1, *, each: int | None = None) -> None:
        """Raises OverLimit at the caller's bound, and Unavailable at that of all.

        With `each` that is the caller's bound.
        """
        bound = self._each if each is None else each
        if self._by_caller[caller] + amount > bound:
            self._forget(caller)
            self.refused += 1
            message = f"At most {bound} {self.what} at a time"
            raise OverLimit(message, _RETRY_AFTER, self._delay)
        if self.held + amount > self._total:
            self._forget(caller)
            self.exhausted += 1
            raise Unavailable(f"The server holds {self.held} {self.what}")
        self._by_caller[caller] += amount
        self.held += amount

    def give_back(self, caller: str, amount: int = 1) -> None:
        """Frees what the caller has taken."""
        self._by_caller[caller] -= amount
        self.held -= amount
        self._forget(caller)

    @contextmanager
    def hold(self, caller: str, amount: int = 1, *, each: int | None = None) -> Iterator[None]:
        """Takes the amount for the block. Raises as `take` does."""
        self.take(caller, amount, each=each)
        try:
            yield
        finally:
            self.give_back(caller, amount)

    def _forget(self, caller: str) -> None:
        if not self._by_caller[caller]:
            del self._by_caller[caller]


class Turns:
    """Work of which only `at_once` pieces are done at a time; the others wait.

    Waiting callers are served in turn, one piece each, however much one of them asks for; one
    caller has at most `each` pieces that are done or wait, of which `each_at_once` are done.
    """

    def __init__(
        self, what: str, *, at_once: int, each: int, each_at_once: int | None = None
    ) -> None:
        self.what = what
        self._share = Share(what, each=each, total=_UNBOUNDED)
        self._free = at_once
        self._each_at_once = each_at_once or at_once
        self._served: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def refused(self) -> int:
        """How often a caller had too much waiting."""
        return self._share.refused

    @property
    def exhausted(self) -> int:
        """Always 0: all together have no bound."""
        return self._share.exhausted

    @asynccontextmanager
    async def turn(self, caller: str) -> AsyncIterator[None]:
        """Waits for the caller's turn, which lasts as long as the block. Raises OverLimit."""
        with self._share.hold(caller):
            await self._wait(caller)
            try:
                yield
            finally:
                self._end(caller)

    async def _wait(self, caller: str) -> None:
        if self._free and self._served[caller] < self._each_at_once:
            self._begin(caller)
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # its turn came at the same moment
                self._end(caller)
            else:
                self._leave(caller, future)
            raise

    def _leave(self, caller: str, future: asyncio.Future[None]) -> None:
        """Takes a piece out of the line, unless that was done when its turn came."""
        futures = self._waiting.get(caller, deque())
        if future in futures:
            futures.remove(future)
            if not futures:
                del self._waiting[caller]

    def _begin(self, caller: str) -> None:
        self._free -= 1
        self._served[caller] += 1

    def _end(self, caller: str) -> None:
        """Gives a turn that has ended to the caller who waits longest and may have one."""
        self._free += 1
        self._served[caller] -= 1
        if not self._served[caller]:
            del self._served[caller]
        while self._free and (longest := self._next()):
            future = self._take(longest)
            if not future.done():
                self._begin(longest)
                future.set_result(None)

    def _next(self) -> str | None:
        return next(
            (each for each in self._waiting if self._served[each] < self._each_at_once), None
        )

    def _take(self, caller: str) -> asyncio.Future[None]:
        """A caller's first piece that waits. The others wait at the end of the line."""
        futures = self._waiting.pop(caller)
        future = futures.popleft()
        if futures:
            self._waiting[caller] = futures
        return future


class Shared(Protocol):
    """What callers have shares of.

    `refused` counts how often one was at their bound, `exhausted` how often all together were.
    """

    @property
    def what(self) -> str: ...

    @property
    def refused(self) -> int: ...

    @property
    def exhausted(self) -> int: ...


class SharesReport:
    """Reports how often callers were refused more than their shares, or all were exhausted."""

    name = "shares"

    def __init__(self) -> None:
        self._shared: list[Shared] = []

    def add(self, *shared: Shared) -> None:
        """Reports on these, too."""
        self._shared += shared

    async def start(self) -> None:
        """Does nothing."""

    async def stop(self, deadline: float) -> None:
        """Does nothing."""

    def counts(self) -> tuple[Counter[str], Counter[str]]:
        """How often a caller was refused, and all were exhausted, by what is shared."""
        refused: Counter[str] = Counter()
        exhausted: Counter[str] = Counter()
        for each in self._shared:
            refused[each.what] += each.refused
            exhausted[each.what] += each.exhausted
        return refused, exhausted

    async def health(self) -> SharesHealth:
        refused, exhausted = self.counts()
        return SharesHealth("ok", refused=dict(refused), exhausted=dict(exhausted))
