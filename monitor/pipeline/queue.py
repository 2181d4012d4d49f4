"""The queue between routes and consumers: bounded, and drained a batch at a time."""

import asyncio
from collections.abc import Awaitable

import msgspec

from monitor.errors import QueueFull
from monitor.events.event import Payload, Rejected

_FEW = 16  # submissions; where more wait already, a batch doesn't wait for others
_LARGE = 4 * 1024 * 1024  # bytes; a batch of that size takes in no more


class Receipt(msgspec.Struct):
    """What became of a request: each of its items is counted once."""

    stored: int = 0
    duplicates: int = 0
    spooled: int = 0
    rejected: list[Rejected] = []


class PendingRequest:
    """A request's items on their way, when they came, and the future of their receipt."""

    __slots__ = ("arrived", "bytes", "items", "receipt")

    def __init__(
        self, items: Payload, size: int, arrived: float, receipt: asyncio.Future[Receipt]
    ) -> None:
        self.items = items
        self.bytes = size
        self.arrived = arrived
        self.receipt = receipt

    def __len__(self) -> int:
        return len(self.items)

    def answer(self, outcome: Receipt | Exception) -> None:
        """Does nothing when it has been answered, or the client has gone away meanwhile."""
        if self.receipt.done():
            return
        if isinstance(outcome, Exception):
            self.receipt.set_exception(outcome)
        else:
            self.receipt.set_result(outcome)


class EventQueue:
    """Submissions that wait or are being stored, bounded by their events and by their bytes."""

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._queue: asyncio.Queue[PendingRequest] = asyncio.Queue(max_events)
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._taking = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self.events = 0
        self.bytes = 0
        self.received = 0
        self.closed = False

    @property
    def full(self) -> bool:
        return self.events >= self._max_events or self.bytes >= self._max_bytes

    def put(self, items: Payload, size: int) -> Awaitable[Receipt]:
        """Accepts a request's items at once; their receipt comes when they are on disk.

        Raises QueueFull, and the receipt raises Unavailable: the same request may succeed later.
        """
        if self.closed:
            raise QueueFull("The server is stopping")
        count = len(items)
        if self.events + count > self._max_events:
            raise QueueFull(f"{self.events} events are waiting to be stored")
        if self.bytes + size > self._max_bytes:
            raise QueueFull(f"{self.bytes} bytes of events are waiting to be stored")
        if self._loop is None:
            self._loop = asyncio.get_running_loop()  # a system call, each time
        loop = self._loop
        submission = PendingRequest(items, size, loop.time(), loop.create_future())
        self.received += count
        self.events += count
        self.bytes += size
        self._empty.clear()
        self._queue.put_nowait(submission)
        return submission.receipt

    async def take(self, max_events: int, linger: float) -> list[PendingRequest]:
        """At least one submission, and more until `max_events` are reached.

        Where few are waiting, waits `linger` seconds for others to join: a larger batch costs less
        per event.
        """
        async with self._taking:  # one at a time, or idle consumers would share what is one batch
            return await self._take(max_events, linger)

    async def _take(self, max_events: int, linger: float) -> list[PendingRequest]:
        batch = [await self._queue.get()]
        if self._queue.qsize() < _FEW:
            await asyncio.sleep(linger)
        events, size = len(batch[0]), batch[0].bytes
        while events < max_events and size < _LARGE and not self._queue.empty():
            batch.append(self._queue.get_nowait())
            events += len(batch[-1])
            size += batch[-1].bytes
        return batch

    def release(self, submission: PendingRequest) -> None:
        """Makes room again for what has been answered."""
        self.events -= len(submission)
        self.bytes -= submission.bytes
        if not self.events:
            self._empty.set()

    async def drained(self, patience: float) -> bool:
        """Whether all has been answered within `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True
