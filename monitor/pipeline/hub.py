"""Fan-out: messages from this replica's pipeline, or another's, to the sockets that want them."""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain

import msgspec

ALL = "*"  # the channel that carries every message

_MAX_CHARACTERS = 1024 * 1024  # that wait for one socket


class Message(msgspec.Struct):
    """What clients of `/ws` receive. `id` is an opaque cursor over all channels."""

    event: str
    channel: str | None
    id: str
    timestamp: datetime
    data: msgspec.Struct


class Outgoing(msgspec.Struct):
    """A message before it has its id. It names itself after the first of its channels."""

    event: str
    channels: list[str]
    timestamp: datetime
    data: msgspec.Struct


class Delivery(msgspec.Struct, array_like=True):
    """A message, encoded once for all sockets and replicas, and every channel that carries it."""

    channels: list[str]
    text: str


class Subscriber:
    """One socket's channels, and its bounded queue of encoded messages."""

    def __init__(self, limit: int) -> None:
        self.channels: set[str] = set()
        self.overrun = asyncio.Event()  # it has fallen behind by more than its queue holds
        self._limit = limit
        self._pending: deque[str] = deque()
        self._characters = 0
        self._waiting = asyncio.Event()

    def put(self, text: str) -> None:
        self._characters += len(text)
        if len(self._pending) >= self._limit or self._characters > _MAX_CHARACTERS:
            self.overrun.set()
        else:
            self._pending.append(text)
            self._waiting.set()

    async def take(self) -> list[str]:
        """All that is pending, at least one message."""
        await self._waiting.wait()
        self._waiting.clear()
        pending = list(self._pending)
        self._pending.clear()
        self._characters = 0
        return pending


class Hub:
    """Knows who listens to which channel, and gives each subscriber a message once."""

    def __init__(self, queue_limit: int) -> None:
        self._queue_limit = queue_limit
        self._listeners: dict[str, set[Subscriber]] = {}
        self._epoch = secrets.token_hex(4)
        self._offset = 0
        self.sockets = 0
        self.relay: Callable[[list[Delivery]], None] | None = None  # to the other replicas

    @property
    def cursor(self) -> str:
        return f"{self._epoch}-{self._offset}"

    @contextmanager
    def join(self) -> Iterator[Subscriber]:
        subscriber = Subscriber(self._queue_limit)
        self.sockets += 1
        try:
            yield subscriber
        finally:
            self.sockets -= 1
            self.unsubscribe(subscriber, list(subscriber.channels))

    def subscribe(self, subscriber: Subscriber, channels: Iterable[str]) -> None:
        for channel in channels:
            subscriber.channels.add(channel)
            self._listeners.setdefault(channel, set()).add(subscriber)

    def unsubscribe(self, subscriber: Subscriber, channels: Iterable[str]) -> None:
        for channel in channels:
            subscriber.channels.discard(channel)
            listeners = self._listeners.get(channel, set())
            listeners.discard(subscriber)
            if not listeners:
                self._listeners.pop(channel, None)

    def hears(self, channels: list[str]) -> bool:
        """Whether a message on these channels would reach anybody."""
        if self.relay or ALL in self._listeners:
            return True
        return not self._listeners.keys().isdisjoint(channels)

    def publish(self, messages: Iterable[Outgoing]) -> None:
        """Sends messages to this replica's sockets and, in one piece, to the other replicas."""
        deliveries = [self._encode(message) for message in messages]
        for delivery in deliveries:
            self.deliver(delivery)
        if self.relay and deliveries:
            self.relay(deliveries)

    def deliver(self, delivery: Delivery) -> None:
        """Queues a message for each subscriber of any of its channels."""
        listeners = self._listeners
        found = [listeners[name] for name in (ALL, *delivery.channels) if name in listeners]
        for subscriber in set().union(*found) if len(found) > 1 else chain(*found):
            subscriber.put(delivery.text)

    def reply(self, subscriber: Subscriber, event: str, data: msgspec.Struct) -> None:
        """Sends a control message to one subscriber, in its turn."""
        message = Message(event, None, self.cursor, datetime.now(UTC), data)
        subscriber.put(msgspec.json.encode(message).decode())

    def _encode(self, message: Outgoing) -> Delivery:
        self._offset += 1
        sent = Message(
            message.event, message.channels[0], self.cursor, message.timestamp, message.data
        )
        return Delivery(message.channels, msgspec.json.encode(sent).decode())
