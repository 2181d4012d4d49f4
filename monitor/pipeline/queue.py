"""The queue between routes and consumers: bounded, and drained a batch at a time."""

import asyncio
from collections.abc import Awaitable

import msgspec

from monitor.errors import OverLimit, QueueFull
from monitor.events.event import Payload, Rejected

_LINGER_BELOW = 16  # requests; where more wait already, a batch doesn't linger
_RETRY_AFTER = 1.0  # seconds
_MAX_BATCH_BYTES = 4 * 1024 * 1024  # a batch this large is closed


class Receipt(msgspec.Struct):
    """The outcome of a request: each of its items is counted once."""

    stored: int = 0
    duplicates: int = 0
    spooled: int = 0
    rejected: list[Rejected] = []


class PendingRequest:
    """A request's payload, its payer, size in bytes, arrival (event loop's clock) and receipt.

    `count` is the number of its items.
    """

    __slots__ = ("arrived", "bytes", "count", "payer", "payload", "receipt")

    def __init__(
        self,
        payload: Payload,
        payer: str,
        size: int,
        arrived: float,
        receipt: asyncio.Future[Receipt],
    ) -> None:
        self.payload = payload
        self.count = len(payload)
        self.payer = payer
        self.bytes = size
        self.arrived = arrived
        self.receipt = receipt

    def __len__(self) -> int:
        return self.count

    def answer(self, outcome: Receipt | Exception) -> None:
        """Does nothing if it has been answered already, or the client has disconnected."""
        if self.receipt.done():
            return
        if isinstance(outcome, Exception):
            self.receipt.set_exception(outcome)
        else:
            self.receipt.set_result(outcome)


class EventQueue:
    """Requests that wait or are being stored, bounded by their events and by their bytes.

    One payer's take at most their part of the room, so that the others' are taken meanwhile.
    """

    what = "events that wait"

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._queue: asyncio.Queue[PendingRequest] = asyncio.Queue(max_events)
        self.max_events = max_events
        self.max_bytes = max_bytes
        self._events_of: dict[str, int] = {}  # by payer
        self._bytes_of: dict[str, int] = {}
        self._taking = asyncio.Lock()
        self._first: PendingRequest | None = None  # of the batch that is being taken
        self._empty = asyncio.Event()
        self._empty.set()
        self.events = 0
        self.bytes = 0
        self.received = 0
        self.refused = 0  # requests, because of their payer's others
        self.exhausted = 0  # requests for which all left no room
        self.closed = False

    @property
    def full(self) -> bool:
        """Whether `put` would refuse any request, because of its events or its bytes."""
        return self.events >= self.max_events or self.bytes >= self.max_bytes

    def put(
        self, payload: Payload, size: int, payer: str = "", part: float = 1.0
    ) -> Awaitable[Receipt]:
        """Accepts a request of `size` bytes at once; its receipt comes when it is on disk.

        The payer's requests may have that `part` of the room.

        Raises OverLimit if too much of the payer's waits, QueueFull if too much does, and the
        receipt raises Unavailable: the same request may succeed later.
        """
        if self.closed:
            raise QueueFull("The server is stopping")
        count = len(payload)
        events, held = self._events_of.get(payer, 0), self._bytes_of.get(payer, 0)
        # A payer who has nothing here may always put one request, and the server itself any.
        has_others = bool(payer and events)
        if (
            has_others
            and max((events + count) / self.max_events, (held + size) / self.max_bytes) > part
        ):
            self.refused += 1
            raise OverLimit(f"{events} of your events are waiting to be stored", _RETRY_AFTER)
        if self.events + count > self.max_events:
            self.exhausted += 1
            raise QueueFull(f"{self.events} events are waiting to be stored")
        if self.bytes + size > self.max_bytes:
            self.exhausted += 1
            raise QueueFull(f"{self.bytes} bytes of events are waiting to be stored")
        loop = asyncio.get_running_loop()
        request = PendingRequest(payload, payer, size, loop.time(), loop.create_future())
        self._events_of[payer] = events + count
        self._bytes_of[payer] = held + size
        self.received += count
        self.events += count
        self.bytes += size
        self._empty.clear()
        self._queue.put_nowait(request)
        return request.receipt

    async def take(self, max_events: int, linger: float) -> list[PendingRequest]:
        """Waits for a request, and takes more until the batch has `max_events` events.

        If few are waiting, lingers for `linger` seconds so that others join: a larger batch costs
        less per event. A call that is cancelled takes nothing: the next one begins where it began.
        """
        async with self._taking:  # one at a time, or idle consumers would split a batch
            return await self._take(max_events, linger)

    async def _take(self, max_events: int, linger: float) -> list[PendingRequest]:
        if self._first is None:
            self._first = await self._queue.get()
        if len(self._first) < max_events and self._queue.qsize() < _LINGER_BELOW:
            await asyncio.sleep(linger)
        batch, self._first = [self._first], None
        events, size = len(batch[0]), batch[0].bytes
        while events < max_events and size < _MAX_BATCH_BYTES and not self._queue.empty():
            batch.append(self._queue.get_nowait())
            events += len(batch[-1])
            size += batch[-1].bytes
        return batch

    def release(self, request: PendingRequest) -> None:
        """Frees the room of a request that has been answered."""
        count, payer = request.count, request.payer
        self.events -= count
        self.bytes -= request.bytes
        if left := self._events_of[payer] - count:
            self._events_of[payer] = left
            self._bytes_of[payer] -= request.bytes
        else:
            del self._events_of[payer], self._bytes_of[payer]
        if not self.events:
            self._empty.set()

    async def wait_drained(self, timeout: float) -> bool:
        """Whether all requests have been answered within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True
