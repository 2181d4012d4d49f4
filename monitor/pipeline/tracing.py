"""Spans of the way that events go: in the request that waits, and of the batch that has them.

What is traced is of a class of its own, made only where tracing is on when the server starts.
"""

import sys
import uuid
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import asyncpg

from monitor.database.dead_letters import DeadLetters
from monitor.events.event import Event, Payload
from monitor.pipeline.handlers import Handlers
from monitor.pipeline.id_cache import IdCache
from monitor.pipeline.postgres import PostgresSink, Stored
from monitor.pipeline.queue import EventQueue, Receipt
from monitor.pipeline.store import BatchResult, Store
from monitor.tracing import is_in_span, is_on, span, start_span

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_MAX_LINKS = 128  # of a span, by OpenTelemetry's default


def event_queue(max_events: int, max_bytes: int) -> EventQueue:
    """The queue, which records spans of what waits while tracing is on."""
    return (TracedQueue if is_on() else EventQueue)(max_events, max_bytes)


def batch_store(queue: EventQueue, sink: PostgresSink, dead_letters: DeadLetters) -> Store:
    """The store of what that queue has, which records a span of each batch if the queue does."""
    if isinstance(queue, TracedQueue):
        return TracedStore(queue.waiting, sink, dead_letters)
    return Store(sink, dead_letters)


def postgres_sink(
    pool: asyncpg.Pool, id_cache: IdCache, replica: uuid.UUID, has_influx: bool, handlers: Handlers
) -> PostgresSink:
    """The sink, which records a span of each COPY of a batch while tracing is on."""
    kind = TracedSink if is_on() else PostgresSink
    return kind(pool, id_cache, replica, has_influx, handlers)


class _Waiting(NamedTuple):
    """The spans of a request: until its events are on disk, and until a batch takes them."""

    stored: "Span"
    queued: "Span"

    def take(self, batch: "Span") -> None:
        _end(self.queued)
        self.stored.add_link(batch.get_span_context())


class TracedQueue(EventQueue):
    """`waiting` has the spans of requests, by the id of the payload, which the queue holds."""

    def __init__(self, max_events: int, max_bytes: int) -> None:
        super().__init__(max_events, max_bytes)
        self.waiting: dict[int, _Waiting] = {}

    def put(
        self, payload: Payload, size: int, payer: str = "", part: float = 1.0
    ) -> Awaitable[Receipt]:
        put = self._put_in_span if is_in_span() else super().put
        return put(payload, size, payer, part)

    async def _put_in_span(self, payload: Payload, size: int, payer: str, part: float) -> Receipt:
        with span("wait for storage") as current:
            self.waiting[id(payload)] = _Waiting(current, start_span("wait in the queue"))
            try:
                receipt = await super().put(payload, size, payer, part)
            finally:
                _end(self.waiting.pop(id(payload)).queued)
            if receipt.spooled:
                current.set_attribute("cell_monitor.spooled", receipt.spooled)
            return receipt


class TracedStore(Store):
    """A batch has many requests: it is a trace of its own, and it and they link to each other."""

    def __init__(
        self, waiting: dict[int, _Waiting], sink: PostgresSink, dead_letters: DeadLetters
    ) -> None:
        super().__init__(sink, dead_letters)
        self._waiting = waiting

    async def put_or_isolate(
        self, batch: Sequence[Payload], deadline: float, step: int = sys.maxsize
    ) -> BatchResult:
        from opentelemetry.trace import Link

        known = [self._waiting[id(each)] for each in batch if id(each) in self._waiting]
        counts = {
            "cell_monitor.requests": len(batch),
            "cell_monitor.events": sum(len(each.events) for each in batch),
        }
        links = [Link(each.stored.get_span_context()) for each in known[:_MAX_LINKS]]
        with span("store a batch", attributes=counts, links=links) as current:
            for each in known:
                each.take(current)
            return await super().put_or_isolate(batch, deadline, step)


class TracedSink(PostgresSink):
    """A transaction of a batch, from asking for a connection to the commit."""

    async def write(self, events: list[Event], deadline: float) -> Stored:
        if not is_in_span():  # what drains from the spool is no request's
            return await super().write(events, deadline)
        with span("COPY to PostgreSQL", attributes={"cell_monitor.events": len(events)}):
            return await super().write(events, deadline)


def _end(queued: "Span") -> None:
    if queued.is_recording():  # neither ended before nor left out by the sampler
        queued.end()
