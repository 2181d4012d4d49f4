"""The queue between routes and consumers: bounded, and drained a batch at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Iterator

import msgspec

from monitor.errors import QueueFull
from monitor.events import Event, Rejected

logger = logging.getLogger(__name__)

_FEW = 16  # submissions; where more wait already, a batch doesn't wait for others
_LARGE = 4 * 1024 * 1024  # bytes; a batch of that size takes in no more


class Receipt(msgspec.Struct):
    """What became of a submission: each of its items is counted once."""

    stored: int = 0
    duplicates: int = 0
    rejected: list[Rejected] = []


class Submission:
    """The events of one request on their way, and the future of their receipt."""

    __slots__ = ("bytes", "events", "receipt", "rejected")

    def __init__(
        self,
        events: list[Event],
        rejected: list[Rejected],
        size: int,
        receipt: asyncio.Future[Receipt],
    ) -> None:
        self.events = events
        self.rejected = rejected
        self.bytes = size
        self.receipt = receipt

    def __len__(self) -> int:
        return len(self.events) + len(self.rejected)

    def numbered(self) -> Iterator[tuple[int, Event]]:
        """The events with their places in the request."""
        gaps = {item.index for item in self.rejected}
        places = (index for index in range(len(self)) if index not in gaps)
        return zip(places, self.events, strict=True)

    def answer(self, outcome: Receipt | Exception) -> None:
        """Does nothing when the client has gone away meanwhile."""
        if self.receipt.done():
            return
        if isinstance(outcome, Exception):
            self.receipt.set_exception(outcome)
        else:
            self.receipt.set_result(outcome)


class EventQueue:
    """Submissions that wait or are being stored, bounded by their events and by their bytes."""

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._queue: asyncio.Queue[Submission] = asyncio.Queue(max_events)
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._taking = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self.events = 0
        self.bytes = 0
        self.closed = False

    @property
    def full(self) -> bool:
        return self.events >= self._max_events or self.bytes >= self._max_bytes

    def put(self, events: list[Event], rejected: list[Rejected], size: int) -> Awaitable[Receipt]:
        """Accepts a request's items at once; their receipt comes when they have been stored.

        Raises QueueFull, and the receipt raises Unavailable: the same request may succeed later.
        """
        if self.closed:
            raise QueueFull("The server is stopping")
        count = len(events) + len(rejected)
        if self.events + count > self._max_events:
            raise QueueFull(f"{self.events} events are waiting to be stored")
        if self.bytes + size > self._max_bytes:
            raise QueueFull(f"{self.bytes} bytes of events are waiting to be stored")
        if self._loop is None:
            self._loop = asyncio.get_running_loop()  # a system call, each time
        submission = Submission(events, rejected, size, self._loop.create_future())
        self.events += count
        self.bytes += size
        self._empty.clear()
        self._queue.put_nowait(submission)
        return submission.receipt

    async def take(self, max_events: int, linger: float) -> list[Submission]:
        """At least one submission, and more until `max_events` are reached.

        Where few are waiting, waits `linger` seconds for others to join: a larger batch costs less
        per event.
        """
        async with self._taking:  # one at a time, or idle consumers would share what is one batch
            return await self._take(max_events, linger)

    async def _take(self, max_events: int, linger: float) -> list[Submission]:
        batch = [await self._queue.get()]
        if self._queue.qsize() < _FEW:
            await asyncio.sleep(linger)
        events, size = len(batch[0]), batch[0].bytes
        while events < max_events and size < _LARGE and not self._queue.empty():
            batch.append(self._queue.get_nowait())
            events += len(batch[-1])
            size += batch[-1].bytes
        return batch

    def release(self, submission: Submission) -> None:
        """Makes room again for what has been answered."""
        self.events -= len(submission)
        self.bytes -= submission.bytes
        if not self.events:
            self._empty.set()

    async def close(self, patience: float) -> None:
        """Accepts nothing more, and waits until all has been answered, or `patience` seconds."""
        self.closed = True
        try:
            async with asyncio.timeout(patience):
                await self._empty.wait()
        except TimeoutError:
            logger.error("Stopped with %d events not stored", self.events)
