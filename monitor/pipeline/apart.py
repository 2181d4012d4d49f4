"""Requests of sources that were slow: they wait in lines of their own, and are stored in turn."""

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator

from monitor.pipeline.queue import PendingRequest
from monitor.pipeline.store import source_of

_APART_FOR = 60.0  # seconds from the last time that a source was slow


class Apart:
    """A line for each source that was slow lately; `next` serves the lines in turn."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}  # by source, on the event loop's clock
        self._lines: OrderedDict[str, deque[PendingRequest]] = OrderedDict()

    def isolate(self, slow: Iterable[PendingRequest]) -> None:
        """Keeps the sources of these requests apart from now on, for _APART_FOR."""
        until = asyncio.get_running_loop().time() + _APART_FOR
        self._until.update((source_of(request.payload), until) for request in slow)

    def divert(self, batch: list[PendingRequest]) -> list[PendingRequest]:
        """Lets requests of slow sources wait in their lines; returns the others."""
        if not self._until:
            return batch
        now = asyncio.get_running_loop().time()
        shared = []
        for request in batch:
            source = source_of(request.payload)
            if self._until.get(source, -math.inf) > now or source in self._lines:
                self._lines.setdefault(source, deque()).append(request)
            else:
                self._until.pop(source, None)
                shared.append(request)
        return shared

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
