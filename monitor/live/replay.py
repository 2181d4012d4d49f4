"""Replays: sends a client what it missed, in slices, at a cost that depends on what is sent."""

import asyncio
import time
from collections.abc import Callable, Iterator, Set

from monitor.live.channel_index import ChannelIndex, Segment
from monitor.live.channels import ALL
from monitor.live.cursor import StreamPosition, prefix
from monitor.live.history import History, Message, encode
from monitor.live.subscriber import Subscriber
from monitor.shares import Turns

_SLICE = 0.002  # seconds of work between two visits to the event loop
_SLICE_BYTES = 64 * 1024  # sent between two checks whether the client reads
_UNCOUNTED = 0.001  # seconds; after a longer slice the others have the event loop as long

Channels = Callable[[], Set[str]]
Charge = Callable[[int, int], None]


class Missed(Exception):
    """Messages were dropped from the history before the client had read up to them."""


class Replay:
    """The messages since a cursor that a client has not received otherwise.

    `delivered` are channels whose messages it has received and receives. Those of batches in the
    `gap` (positions in the history) were delivered as well.
    """

    def __init__(self, cursor: StreamPosition, delivered: Set[str], gap: range) -> None:
        self._cursor = cursor
        self._delivered = frozenset(delivered)
        self._gap = gap
        self._offsets = dict(cursor.offsets)  # the last numbers that were read, of each replica

    def read(self, history: History, index: ChannelIndex, channels: Set[str]) -> Iterator[bytes]:
        """The encoded messages on these channels, of those that are indexed, from where it stopped.

        Each carries the cursor of a client that has received everything before it. May be left at
        any message, and called again. Raises Missed.
        """
        for segment in index.segments:
            if (start := segment.start(self._offsets)) < segment.end:
                if not history.keeps(self._offsets):
                    raise Missed
                yield from self._read(history, segment, channels, max(start, history.first))
                segment.advance(self._offsets, segment.end)

    def _read(
        self, history: History, segment: Segment, channels: Set[str], start: int
    ) -> Iterator[bytes]:
        received, known, current, head = self._cursor.offsets, history.high_water, -1, ""
        for position, place in segment.find(self._wanted(channels), start):
            batch = history.batches[position - history.first]
            number, each = batch.first + place, batch.deliveries[place]
            if position != current:
                segment.advance(self._offsets, position)
                offsets = {
                    replica_id: offset
                    for replica_id, offset in self._offsets.items()
                    if replica_id in known
                }
                current, head = position, prefix(self._cursor.time, offsets, batch.replica_id)
            if number <= self._offsets.get(batch.replica_id, 0) or position in self._gap:
                continue
            if number > received.get(batch.replica_id, 0) and self._is_new(each.channels):
                self._offsets[batch.replica_id] = number
                text = f"{head}{number:x}"
                yield encode(Message(each.event, each.channels[0], text, each.timestamp, each.data))

    def _wanted(self, channels: Set[str]) -> Set[str]:
        if ALL in self._delivered:
            return frozenset()
        return channels if ALL in channels else channels - self._delivered

    def _is_new(self, channels: list[str]) -> bool:
        return self._delivered.isdisjoint(channels)


class Replays:
    """Sends replays in slices: one slice at a time, in turns by caller."""

    def __init__(self, history: History) -> None:
        self.turns = Turns("replays", at_once=1, each=1_000_000)  # a socket has one
        self._history = history
        self._index = ChannelIndex(history)

    async def send(
        self,
        subscriber: Subscriber,
        replay: Replay,
        *,
        caller: str,
        channels: Channels,
        charge: Charge,
        finish: Callable[[], None],
    ) -> None:
        """Sends what the client missed, as fast as it reads, and then calls `finish`.

        Nothing is published between the last message and `finish`, which subscribes to what
        follows. `channels` are asked for at each slice, and `charge` is called with the number and
        the bytes of the messages that it sends. Returns early when the client has left. Raises
        Missed, and what `charge` raises.
        """
        while await subscriber.wait_until_writable():
            async with self.turns.turn(caller):
                started = time.monotonic()
                texts, is_complete = self._slice(replay, channels(), started + _SLICE)
                charge(len(texts), sum(map(len, texts)))
                subscriber.write(texts)
                if is_complete:
                    finish()
                    return
                took = time.monotonic() - started
                await asyncio.sleep(took if took > _UNCOUNTED else 0)

    def _slice(
        self, replay: Replay, channels: Set[str], deadline: float
    ) -> tuple[list[bytes], bool]:
        """Some messages, and whether they are the last."""
        is_complete = self._index.extend(deadline)
        texts: list[bytes] = []
        size = 0
        for text in replay.read(self._history, self._index, channels):
            texts.append(text)
            size += len(text)
            if size > _SLICE_BYTES or time.monotonic() > deadline:
                return texts, False
        return texts, is_complete
