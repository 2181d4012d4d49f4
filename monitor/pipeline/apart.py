"""Requests that are large or of a slow source: they wait in lines, and are stored in turn."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator

from monitor.pipeline.queue import PendingRequest
from monitor.pipeline.store import source_of

LARGE = 200  # items: storing more takes much longer than what most requests have
_APART_FOR = 60.0  # seconds from the last time that a source was slow


class Apart:
    """A line of requests for each source; `next` serves the lines in turn.

    Large requests wait there, and all of a source that was slow lately, so that the others don't
    wait for them.
    """

    def __init__(self) -> None:
        self._until: dict[str, float] = {}  # by source, on the event loop's clock
        self._lines: OrderedDict[str, deque[PendingRequest]] = OrderedDict()

    def isolate(self, slow: Iterable[PendingRequest]) -> None:
        """Keeps the sources of these requests apart from now on, for _APART_FOR."""
        until = asyncio.get_running_loop().time() + _APART_FOR
        self._until.update((source_of(request.payload), until) for request in slow)

    def divert(self, batch: list[PendingRequest]) -> list[PendingRequest]:
        """Lets requests wait in their lines; returns the others."""
        if not self._until and max(request.count for request in batch) <= LARGE:
            return batch
        now = asyncio.get_running_loop().time()
        shared = []
        for request in batch:
            source = source_of(request.payload)
            if request.count > LARGE or self._is_slow(source, now):
                self._lines.setdefault(source, deque()).append(request)
            else:
                shared.append(request)
        return shared

    def _is_slow(self, source: str, now: float) -> bool:
        """Whether the source was slow lately, or has requests waiting from when it was."""
        if source not in self._until:
            return False
        if self._until[source] > now or source in self._lines:
            return True
        del self._until[source]
        return False

    def next(self) -> PendingRequest | None:
        """The request whose turn it is; None if none waits."""
        if not self._lines:
            return None
        source, line = self._lines.popitem(last=False)
        request = line.popleft()
        if line:
            self._lines[source] = line  # behind the other sources
        return request

    def clear(self) -> Iterator[PendingRequest]:
        """Takes all that wait."""
        while request := self.next():
            yield request
