"""Fan-out: sends messages of this replica and of others to the subscribed sockets."""

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
from monitor.live.replay import Replays
from monitor.live.subscriber import SocketLimits, Subscriber, Wire, frame
from monitor.shares import Turns

_CATCH_UP_TIMEOUT = 1.0  # seconds to wait for messages that a client has read elsewhere
_CATCH_UP_INTERVAL = 0.1  # seconds between two checks; a whole school may be waiting
_COMMANDS = 4  # of clients at the same time; they share the API's connections to PostgreSQL


class Stale(msgspec.Struct):
    """The `data` of `stale`: messages of other replicas don't arrive for now."""


class Resumed(msgspec.Struct):
    """The `data` of `resumed`: whether no message before it is missing."""

    recovered: bool


class Hub:
    """Knows the subscribers of each channel, and sends each of them a message once.

    `joined` counts sockets, `slow` those that were closed because they didn't keep up, and
    `deliveries` messages by the sockets they were sent to.
    """

    def __init__(self, history: History, limits: SocketLimits) -> None:
        self._limits = limits
        self._listeners: dict[str, set[Subscriber]] = {}
        self._sockets: set[Subscriber] = set()
        self.replica_id = secrets.token_hex(4)
        self.history = history
        self.replays = Replays(history)
        self.commands = Turns("commands", at_once=_COMMANDS, each=1_000_000)  # a socket has one
        self.presence = Presence()
        self.stale = False
        self.joined = self.slow = self.deliveries = 0
        self.relay: Callable[[MessageBatch], None] | None = None  # to the other replicas

    @property
    def sockets(self) -> int:
        """How many sockets are connected to this replica."""
        return len(self._sockets)

    @property
    def cursor(self) -> str:
        """The id of the latest message."""
        offset = self.history.high_water.get(self.replica_id, 0)
        return f"{self.history.prefix(self.replica_id)}{offset:x}"

    @contextmanager
    def join(self, wire: Wire, name: str = "") -> Iterator[Subscriber]:
        """A subscriber for this socket, without channels; removed at the end of the block."""
        subscriber = Subscriber(wire, self._limits, name)
        self._sockets.add(subscriber)
        self.joined += 1
        try:
            yield subscriber
        finally:
            self._sockets.discard(subscriber)
            self.unsubscribe(subscriber, list(subscriber.channels))
            subscriber.leave()
            self.slow += subscriber.slow

    def subscribe(self, subscriber: Subscriber, channels: Iterable[str]) -> None:
        """Adds channels (such as `class:7`); those it has already are left alone."""
        for channel in set(channels) - subscriber.channels:
            subscriber.channels.add(channel)
            self._listeners.setdefault(channel, set()).add(subscriber)
            self.presence.enter(channel, subscriber.name)

    def unsubscribe(self, subscriber: Subscriber, channels: Iterable[str]) -> None:
        """Removes channels; those it doesn't have are left alone."""
        for channel in subscriber.channels.intersection(channels):
            subscriber.channels.discard(channel)
            listeners = self._listeners[channel]
            listeners.discard(subscriber)
            if not listeners:
                del self._listeners[channel]
            self.presence.leave(channel, subscriber.name)

    async def catch_up(self, cursor: StreamPosition) -> None:
        """Waits briefly for messages that a client has read at another replica."""
        if self.relay is None or self.stale:
            return
        deadline = asyncio.get_running_loop().time() + _CATCH_UP_TIMEOUT
        while self.history.lacks(cursor.offsets):
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(_CATCH_UP_INTERVAL)

    def publish(self, messages: Iterable[Publication]) -> None:
        """Sends messages to this replica's sockets and, as one batch, to the other replicas."""
        publications = list(messages)
        if not publications:
            return
        first = self.history.high_water.get(self.replica_id, 0) + 1
        batch = MessageBatch(self.replica_id, first, len(publications), pack(publications))
        self.history.append(batch)
        self._fan_out(batch, publications)
        if self.relay:
            self.relay(batch)

    def deliver(self, batch: MessageBatch) -> None:
        """Sends another replica's messages to this one's sockets.

        Raises msgspec.DecodeError, and keeps nothing, when the batch is malformed.
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
        """Sends a control message to one subscriber, after the messages queued for it."""
        message = Message(event, channel, cursor or self.cursor, datetime.now(UTC), data)
        text = encode(message)
        subscriber.put(text, frame(text))

    def cut_off(self) -> None:
        """Notifies all sockets, present and future, that other replicas can't be reached."""
        self.presence.elsewhere.clear()
        if not self.stale:
            self.stale = True
            self._notify_all("stale", Stale())

    def resume(self, recovered: bool) -> None:
        """Notifies all sockets that other replicas are back, and whether messages are missing."""
        self.stale = False
        self._notify_all("resumed", Resumed(recovered))

    def _notify_all(self, event: str, data: msgspec.Struct) -> None:
        text = encode(Message(event, None, self.cursor, datetime.now(UTC), data))
        ready = frame(text)
        for subscriber in self._sockets:
            subscriber.put(text, ready)

    def _fan_out(self, batch: MessageBatch, messages: Iterable[Publication | Delivery]) -> None:
        if not self._listeners:
            return
        head = self.history.prefix(batch.replica_id)
        for offset, each in enumerate(messages, batch.first):
            if subscribers := self._subscribers(each.channels):
                cursor = f"{head}{offset:x}"
                text = encode(
                    Message(each.event, each.channels[0], cursor, each.timestamp, each.data)
                )
                ready = frame(text)
                self.deliveries += len(subscribers)
                for subscriber in subscribers:
                    subscriber.put(text, ready)

    def _subscribers(self, channels: list[str]) -> set[Subscriber]:
        listeners = self._listeners
        sets = [listeners[name] for name in (ALL, *channels) if name in listeners]
        if len(sets) == 1:
            return sets[0]
        return set().union(*sets)
