"""Fan-out: messages from this replica's pipeline, or another's, to the sockets that want them."""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec

from monitor.live.channels import ALL
from monitor.live.cursor import StreamPosition
from monitor.live.history import Delivery, History, Message, MessageBatch, Publication, encode, pack
from monitor.live.presence import Presence
from monitor.live.subscriber import SocketLimits, Subscriber, Wire, frame

_CATCH_UP = 1.0  # seconds for messages that a client has seen to arrive here as well
_TICK = 0.1  # a whole school may be waiting


class Stale(msgspec.Struct):
    """The `data` of `stale`: what other replicas publish does not arrive for now."""


class Resumed(msgspec.Struct):
    """The `data` of `resumed`: whether what is before it is complete."""

    recovered: bool


class Hub:
    """Knows who listens to which channel, and gives each subscriber a message once."""

    def __init__(self, history: History, limits: SocketLimits) -> None:
        self._limits = limits
        self._listeners: dict[str, set[Subscriber]] = {}
        self._sockets: set[Subscriber] = set()
        self.origin = secrets.token_hex(4)
        self.history = history
        self.presence = Presence()
        self.stale = False
        self.relay: Callable[[MessageBatch], None] | None = None  # to the other replicas

    @property
    def sockets(self) -> int:
        return len(self._sockets)

    @property
    def cursor(self) -> str:
        return f"{self.history.prefix(self.origin)}{self.history.seen.get(self.origin, 0):x}"

    @contextmanager
    def join(self, wire: Wire, name: str = "") -> Iterator[Subscriber]:
        subscriber = Subscriber(wire, self._limits, name)
        self._sockets.add(subscriber)
        try:
            yield subscriber
        finally:
            self._sockets.discard(subscriber)
            self.unsubscribe(subscriber, list(subscriber.channels))
            subscriber.leave()

    def subscribe(self, subscriber: Subscriber, channels: Iterable[str]) -> None:
        for channel in set(channels) - subscriber.channels:
            subscriber.channels.add(channel)
            self._listeners.setdefault(channel, set()).add(subscriber)
            self.presence.enter(channel, subscriber.name)

    def unsubscribe(self, subscriber: Subscriber, channels: Iterable[str]) -> None:
        for channel in subscriber.channels.intersection(channels):
            subscriber.channels.discard(channel)
            listeners = self._listeners[channel]
            listeners.discard(subscriber)
            if not listeners:
                del self._listeners[channel]
            self.presence.leave(channel, subscriber.name)

    async def catch_up(self, cursor: StreamPosition) -> None:
        """Waits a moment for messages on their way here that a client has seen elsewhere."""
        if self.relay is None or self.stale:
            return
        deadline = asyncio.get_running_loop().time() + _CATCH_UP
        while self.history.lacks(cursor.offsets):
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(_TICK)

    def missed(
        self, subscriber: Subscriber, channels: list[str], cursor: StreamPosition, until: int
    ) -> Iterator[bytes]:
        """What came on these channels since the cursor, but for what the subscriber got."""
        names, followed = set(channels), set(subscriber.channels)

        def wanted(carriers: list[str]) -> bool:
            if ALL not in names and names.isdisjoint(carriers):
                return False
            return ALL not in followed and followed.isdisjoint(carriers)

        return self.history.since(cursor, wanted, until)

    def publish(self, messages: Iterable[Publication]) -> None:
        """Sends messages to this replica's sockets and, in one piece, to the other replicas."""
        outgoing = list(messages)
        if not outgoing:
            return
        first = self.history.seen.get(self.origin, 0) + 1
        batch = MessageBatch(self.origin, first, len(outgoing), pack(outgoing))
        self.history.append(batch)
        self._fan_out(batch, outgoing)
        if self.relay:
            self.relay(batch)

    def deliver(self, batch: MessageBatch) -> None:
        """Sends another replica's messages to this one's sockets.

        Raises msgspec.DecodeError, and keeps nothing, when they are none.
        """
        deliveries = batch.deliveries
        self.history.append(batch)
        self._fan_out(batch, deliveries)

    def reply(
        self,
        subscriber: Subscriber,
        event: str,
        data: msgspec.Struct,
        channel: str | None = None,
        cursor: str | None = None,
    ) -> None:
        """Sends a control message to one subscriber, in its turn."""
        message = Message(event, channel, cursor or self.cursor, datetime.now(UTC), data)
        text = encode(message)
        subscriber.put(text, frame(text))

    def cut_off(self) -> None:
        """Tells all sockets, now and when they join, that other replicas are out of reach."""
        self.presence.elsewhere.clear()
        if not self.stale:
            self.stale = True
            self._tell("stale", Stale())

    def resume(self, recovered: bool) -> None:
        """Tells all sockets whether they have got all up to now."""
        self.stale = False
        self._tell("resumed", Resumed(recovered))

    def _tell(self, event: str, data: msgspec.Struct) -> None:
        text = encode(Message(event, None, self.cursor, datetime.now(UTC), data))
        ready = frame(text)
        for subscriber in self._sockets:
            subscriber.put(text, ready)

    def _fan_out(self, batch: MessageBatch, messages: Iterable[Publication | Delivery]) -> None:
        if not self._listeners:
            return
        head = self.history.prefix(batch.origin)
        for offset, each in enumerate(messages, batch.first):
            if found := self._found(each.channels):
                place = f"{head}{offset:x}"
                text = encode(
                    Message(each.event, each.channels[0], place, each.timestamp, each.data)
                )
                ready = frame(text)
                for subscriber in found:
                    subscriber.put(text, ready)

    def _found(self, channels: list[str]) -> set[Subscriber]:
        listeners = self._listeners
        found = [listeners[name] for name in (ALL, *channels) if name in listeners]
        if len(found) == 1:
            return found[0]
        return set().union(*found)
