"""What a replica keeps of the classes that are looked at, so that only what has changed is read.

It is never wrong: each use compares what is kept with the versions in its own snapshot.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Generic, NamedTuple, Protocol, TypeVar

from monitor.database.pool import Connection
from monitor.errors import Busy
from monitor.insight.class_notebook import ClassNotebook
from monitor.insight.query import ClassIds, Notebook
from monitor.insight.recent_runs import RecentRuns
from monitor.insight.versions import People
from monitor.pace import Pace

MAX_CELLS = 100_000  # in all notebooks together: about 1.1 KB each
_TIMEOUT = 3.0  # seconds


_Key = tuple[Hashable, ...]  # what it is, the classes, and which one


class _Sized(Protocol):
    @property
    def size(self) -> int: ...


T = TypeVar("T", bound=_Sized)


class _Entry(Generic[T]):
    """What is kept under a key, and who may use it: one at a time, in the order of asking."""

    def __init__(self, kept: T) -> None:
        self.kept = kept
        self.turn = asyncio.Lock()
        self.size = 0


class OpenNotebook(NamedTuple):
    """A notebook as it is in a snapshot, and the pace of work on it."""

    cells: ClassNotebook
    pace: Pace


class OpenRuns(NamedTuple):
    """A class's recent runs, likewise."""

    runs: RecentRuns
    pace: Pace


class Kept:
    """Notebooks in classes, and classes' recent runs; those that were used last, up to MAX_CELLS.

    The last one is kept however large it is. `timeout` (s) bounds the waiting and the work of one
    use, beside the statements of the database.
    """

    def __init__(self, timeout: float = _TIMEOUT) -> None:
        self._timeout = timeout
        self._entries: OrderedDict[_Key, _Entry[ClassNotebook] | _Entry[RecentRuns]]
        self._entries = OrderedDict()
        self.size = 0  # of all that is kept

    @asynccontextmanager
    async def notebook(
        self, connection: Connection, class_ids: ClassIds, notebook: Notebook, people: People
    ) -> AsyncIterator[OpenNotebook]:
        """The notebook in the connection's snapshot, which has these people.

        Nobody else uses it meanwhile. Raises Busy when it takes too long.
        """
        alias_ids = tuple(sorted(notebook.alias_ids))
        key = ("notebook", tuple(class_ids), notebook.id, alias_ids)
        for other in [each for each in self._entries if each[:3] == key[:3] and each != key]:
            self._forget(other)  # before another path was recognised as a copy
        async with self._use(key, lambda: ClassNotebook(class_ids[0], alias_ids)) as (kept, pace):
            await kept.update(connection, people, pace)
            yield OpenNotebook(kept, pace)

    @asynccontextmanager
    async def runs(
        self, connection: Connection, class_ids: ClassIds, people: People
    ) -> AsyncIterator[OpenRuns]:
        """The class's recent runs, likewise."""
        key = ("runs", tuple(class_ids))
        async with self._use(key, lambda: RecentRuns(class_ids)) as (kept, pace):
            await kept.update(connection, people, pace)
            yield OpenRuns(kept, pace)

    @asynccontextmanager
    async def _use(self, key: _Key, make: Callable[[], T]) -> AsyncIterator[tuple[T, Pace]]:
        pace = Pace(self._timeout)
        entry: _Entry[T] = self._entries.setdefault(key, _Entry(make()))  # type: ignore[assignment, arg-type]
        self._entries.move_to_end(key)
        await _wait(entry.turn, pace.left)
        try:
            yield entry.kept, pace
        finally:
            entry.turn.release()
            self._settle(key, entry)

    def _settle(self, key: _Key, entry: _Entry[T]) -> None:
        """Forgets what was used longest ago, but not all: a large one goes on where time ended."""
        if self._entries.get(key) is not entry:
            return
        self.size += entry.kept.size - entry.size
        entry.size = entry.kept.size
        while self.size > MAX_CELLS and len(self._entries) > 1:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: _Key) -> None:
        self.size -= self._entries.pop(key).size


async def _wait(turn: asyncio.Lock, timeout: float) -> None:
    try:
        async with asyncio.timeout(timeout):
            await turn.acquire()
    except TimeoutError:
        raise Busy("Others are waiting for the same notebook") from None
