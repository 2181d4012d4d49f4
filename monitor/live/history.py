"""What has been delivered lately, by this replica and others, for clients that were away."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property

import msgspec

from monitor.live.cursor import StreamPosition, prefix

_ENCODER = msgspec.json.Encoder()


class Message(msgspec.Struct, gc=False):
    """What clients of `/ws` receive. `id` is an opaque cursor over all channels."""

    event: str
    channel: str | None
    id: str
    timestamp: datetime | msgspec.Raw
    data: msgspec.Struct | msgspec.Raw


class Publication(msgspec.Struct, array_like=True, gc=False):
    """A message before it has its id. It names itself after the first of its channels."""

    event: str
    channels: list[str]
    timestamp: datetime
    data: msgspec.Struct


class Delivery(msgspec.Struct, array_like=True, gc=False):
    """A message read back from its batch."""

    event: str
    channels: list[str]
    timestamp: msgspec.Raw
    data: msgspec.Raw


_DELIVERIES = msgspec.json.Decoder(list[Delivery])


class MessageBatch(msgspec.Struct, array_like=True, tag="batch", dict=True):
    """Messages published together, numbered from `first` on among all of their origin."""

    origin: str
    first: int
    count: int
    messages: msgspec.Raw  # a list of Publication

    @property
    def last(self) -> int:
        return self.first + self.count - 1

    @property
    def size(self) -> int:
        return memoryview(self.messages).nbytes

    @cached_property
    def deliveries(self) -> list[Delivery]:
        return _DELIVERIES.decode(self.messages)


class History:
    """Batches in the order of their arrival, bounded by their messages and their bytes.

    `seen` is the number of the last message of each origin; what came up to the number in
    `floors` is not, or no longer, here.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._messages = 0
        self._bytes = 0
        self.batches: deque[MessageBatch] = deque()
        self.position = 0  # batches so far
        self.seen: dict[str, int] = {}
        self.floors: dict[str, int] = {}
        self.known_since = now()  # of origins that ended before, this replica knows nothing
        self.lost_at = 0  # when a replica was last lost, with what it may have been about to send

    def append(self, batch: MessageBatch) -> None:
        """Takes the batch that follows what is seen of its origin."""
        self.batches.append(batch)
        self.position += 1
        self.seen[batch.origin] = batch.last
        self._messages += batch.count
        self._bytes += batch.size
        while self._messages > self._max_messages or self._bytes > self._max_bytes:
            self._evict()

    def skip(self, origin: str, offset: int) -> None:
        """Gives up what is missing of an origin, up to a number."""
        self.seen[origin] = self.floors[origin] = offset

    def forget(self, origin: str, ended: int) -> None:
        """Drops an origin that ended at that time, what came before, and cursors from before."""
        while self.seen[origin] > self.floors.get(origin, 0):
            self._evict()
        del self.seen[origin]
        self.floors.pop(origin, None)
        self.known_since = max(self.known_since, ended)

    def prefix(self, origin: str) -> str:
        """The cursor of a message of that origin, but for its number."""
        return prefix(self._time(), self.seen, origin)

    def lacks(self, offsets: dict[str, int]) -> bool:
        """Whether somebody has seen messages that have not arrived here."""
        return any(offset > self.seen.get(origin, 0) for origin, offset in offsets.items())

    def covers(self, cursor: StreamPosition) -> bool:
        """Whether all that came after the cursor is here."""
        if cursor.time < max(self.known_since, self.lost_at) or self.lacks(cursor.offsets):
            return False
        return all(cursor.offsets.get(each, 0) >= floor for each, floor in self.floors.items())

    def since(
        self, cursor: StreamPosition, wanted: Callable[[list[str]], bool], until: int
    ) -> Iterator[bytes]:
        """The encoded messages on wanted channels from the cursor to a position, as of now.

        Each has the cursor of a client that has got this far. They are made as they are taken.
        """
        first = self.position - len(self.batches)
        batches = [
            batch
            for place, batch in enumerate(self.batches, first)
            if place < until and batch.last > cursor.offsets.get(batch.origin, 0)
        ]
        return _replay(cursor, batches, wanted)

    def _evict(self) -> None:
        batch = self.batches.popleft()
        self._messages -= batch.count
        self._bytes -= batch.size
        self.floors[batch.origin] = max(batch.last, self.floors.get(batch.origin, 0))

    def _time(self) -> int:
        return max(now(), self.lost_at)


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def pack(messages: list[Publication]) -> msgspec.Raw:
    return msgspec.Raw(_ENCODER.encode(messages))


def encode(message: Message) -> bytes:
    return _ENCODER.encode(message)


def _replay(
    cursor: StreamPosition, batches: list[MessageBatch], wanted: Callable[[list[str]], bool]
) -> Iterator[bytes]:
    offsets = dict(cursor.offsets)
    for batch in batches:
        head, seen = prefix(cursor.time, offsets, batch.origin), offsets.get(batch.origin, 0)
        for offset, each in enumerate(batch.deliveries, batch.first):
            if offset > seen and wanted(each.channels):
                place = f"{head}{offset:x}"
                yield encode(
                    Message(each.event, each.channels[0], place, each.timestamp, each.data)
                )
        offsets[batch.origin] = batch.last
