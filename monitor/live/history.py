"""The latest messages of all replicas, for clients that were away; replay.py reads them."""

import time
from collections import deque
from collections.abc import Mapping
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
    """A message before it has its id. Its own `channel` is the first of its channels."""

    event: str
    channels: list[str]
    timestamp: datetime
    data: msgspec.Struct


class Delivery(msgspec.Struct, array_like=True, gc=False):
    """A publication as it is read back from its batch."""

    event: str
    channels: list[str]
    timestamp: msgspec.Raw
    data: msgspec.Raw


_DELIVERIES = msgspec.json.Decoder(list[Delivery])


class MessageBatch(msgspec.Struct, array_like=True, tag="batch", dict=True):
    """Messages published together, numbered from `first` on among all of that replica."""

    replica_id: str
    first: int
    count: int
    messages: msgspec.Raw  # a list of Publication

    @property
    def last(self) -> int:
        """The number of its last message."""
        return self.first + self.count - 1

    @property
    def size(self) -> int:
        """The bytes of its encoded messages."""
        return memoryview(self.messages).nbytes

    @cached_property
    def deliveries(self) -> list[Delivery]:
        """Its messages, decoded once."""
        return _DELIVERIES.decode(self.messages)


class History:
    """Batches in the order of their arrival, bounded by their messages and their bytes.

    `high_water` is a version vector: the number of the last message of each replica. Messages
    numbered up to `low_water` were dropped, or never arrived.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._messages = 0
        self._bytes = 0
        self.batches: deque[MessageBatch] = deque()
        self.position = 0  # batches so far
        self.high_water: dict[str, int] = {}
        self.low_water: dict[str, int] = {}
        self.known_since = now()  # ms since 1970; nothing is known of replicas that ended before
        self.lost_at = (
            0  # ms since 1970; when a replica, and perhaps unsent messages, were last lost
        )

    @property
    def first(self) -> int:
        """The position of the oldest batch."""
        return self.position - len(self.batches)

    def append(self, batch: MessageBatch) -> None:
        """Adds the batch that follows the last one of its replica."""
        self.batches.append(batch)
        self.position += 1
        self.high_water[batch.replica_id] = batch.last
        self._messages += batch.count
        self._bytes += batch.size
        while self._messages > self._max_messages or self._bytes > self._max_bytes:
            self._evict()

    def skip(self, replica_id: str, offset: int) -> None:
        """Gives up the missing messages of a replica, up to a number."""
        self.high_water[replica_id] = self.low_water[replica_id] = offset

    def forget(self, replica_id: str, ended: int) -> None:
        """Drops a replica that ended at that time (ms), all older messages, and older cursors."""
        while self.high_water[replica_id] > self.low_water.get(replica_id, 0):
            self._evict()
        del self.high_water[replica_id]
        self.low_water.pop(replica_id, None)
        self.known_since = max(self.known_since, ended)

    def prefix(self, replica_id: str) -> str:
        """The cursor prefix of that replica's messages; append the message number."""
        return prefix(self._time(), self.high_water, replica_id)

    def lacks(self, offsets: dict[str, int]) -> bool:
        """Whether these offsets include messages that have not arrived here."""
        return any(
            offset > self.high_water.get(replica_id, 0) for replica_id, offset in offsets.items()
        )

    def covers(self, cursor: StreamPosition) -> bool:
        """Whether every message after the cursor is here."""
        if cursor.time < max(self.known_since, self.lost_at) or self.lacks(cursor.offsets):
            return False
        return self.keeps(cursor.offsets)

    def keeps(self, offsets: Mapping[str, int]) -> bool:
        """Whether no message after these numbers was dropped."""
        return all(offsets.get(each, 0) >= floor for each, floor in self.low_water.items())

    def _evict(self) -> None:
        batch = self.batches.popleft()
        self._messages -= batch.count
        self._bytes -= batch.size
        self.low_water[batch.replica_id] = max(batch.last, self.low_water.get(batch.replica_id, 0))

    def _time(self) -> int:
        return max(now(), self.lost_at)


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def pack(messages: list[Publication]) -> msgspec.Raw:
    """The `messages` of a MessageBatch."""
    return msgspec.Raw(_ENCODER.encode(messages))


def encode(message: Message) -> bytes:
    """A message as JSON, which is what clients receive."""
    return _ENCODER.encode(message)
