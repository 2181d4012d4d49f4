"""Spans of the way that events go: in the request that waits, and of the batch that has them."""

import sys
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from monitor.events.event import Event, Payload
from monitor.pipeline.postgres import PostgresSink, Stored
from monitor.pipeline.queue import EventQueue, Receipt
from monitor.pipeline.store import BatchResult, Store
from monitor.tracing import is_in_span, is_on, span, start_span

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_MAX_LINKS = 128  # of a span, by OpenTelemetry's default


class _Waiting(NamedTuple):
    """The spans of a request: until its events are on disk, and until a batch takes them."""

    stored: "Span"
    queued: "Span"

    def take(self, batch: "Span") -> None:
        _end(self.queued)
        self.stored.add_link(batch.get_span_context())


def trace_pipeline(queue: EventQueue, store: Store, sink: PostgresSink) -> None:
    """Records spans of what waits and of what is stored; does nothing while tracing is off."""
    if is_on():
        waiting: dict[int, _Waiting] = {}  # by the id of the payload, which the queue holds
        _trace_queue(queue, waiting)
        _trace_batches(store, waiting)
        _trace_writes(sink)


def _trace_queue(queue: EventQueue, waiting: dict[int, _Waiting]) -> None:
    put = queue.put

    async def wait(payload: Payload, size: int, payer: str, part: float) -> Receipt:
        with span("wait for storage") as current:
            waiting[id(payload)] = _Waiting(current, start_span("wait in the queue"))
            try:
                receipt = await put(payload, size, payer, part)
            finally:
                _end(waiting.pop(id(payload)).queued)
            if receipt.spooled:
                current.set_attribute("cell_monitor.spooled", receipt.spooled)
            return receipt

    def traced_put(
        payload: Payload, size: int, payer: str = "", part: float = 1.0
    ) -> Awaitable[Receipt]:
        return (wait if is_in_span() else put)(payload, size, payer, part)

    queue.put = traced_put  # type: ignore[method-assign]


def _trace_batches(store: Store, waiting: dict[int, _Waiting]) -> None:
    """A batch has many requests: it is a trace of its own, and it and they link to each other."""
    from opentelemetry.trace import Link

    put_or_isolate = store.put_or_isolate

    async def traced_batch(
        batch: Sequence[Payload], deadline: float, step: int = sys.maxsize
    ) -> BatchResult:
        known = [waiting[id(each)] for each in batch if id(each) in waiting]
        counts = {
            "cell_monitor.requests": len(batch),
            "cell_monitor.events": sum(len(each.events) for each in batch),
        }
        links = [Link(each.stored.get_span_context()) for each in known[:_MAX_LINKS]]
        with span("store a batch", attributes=counts, links=links) as current:
            for each in known:
                each.take(current)
            return await put_or_isolate(batch, deadline, step)

    store.put_or_isolate = traced_batch  # type: ignore[method-assign]


def _trace_writes(sink: PostgresSink) -> None:
    write = sink.write

    async def traced_write(events: list[Event], deadline: float) -> Stored:
        if not is_in_span():  # what drains from the spool is no request's
            return await write(events, deadline)
        with span("COPY to PostgreSQL", attributes={"cell_monitor.events": len(events)}):
            return await write(events, deadline)

    sink.write = traced_write  # type: ignore[method-assign]


def _end(queued: "Span") -> None:
    if queued.is_recording():  # neither ended before nor left out by the sampler
        queued.end()
