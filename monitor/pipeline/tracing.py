"""Spans of the way that events go: in the request that waits, and of the batch that has them."""

import sys
from collections.abc import Awaitable, Sequence

from monitor.events.event import Payload
from monitor.pipeline.queue import EventQueue, Receipt
from monitor.pipeline.store import BatchResult, Store
from monitor.tracing import is_on, span

_MAX_LINKS = 128  # of a span, by OpenTelemetry's default


def trace_pipeline(queue: EventQueue, store: Store) -> None:
    """Records spans of what waits and of what is stored; does nothing while tracing is off.

    A batch has many requests, so it is a trace of its own with a link to each of them.
    """
    if not is_on():
        return
    from opentelemetry.trace import Link, SpanContext

    waiting: dict[int, SpanContext] = {}
    put, store_batch = queue.put, store.put_or_isolate

    async def wait(payload: Payload, size: int, payer: str, part: float) -> Receipt:
        with span("wait for storage") as current:
            waiting[id(payload)] = current.get_span_context()
            try:
                return await put(payload, size, payer, part)
            finally:
                del waiting[id(payload)]

    def traced_put(
        payload: Payload, size: int, payer: str = "", part: float = 1.0
    ) -> Awaitable[Receipt]:
        return wait(payload, size, payer, part)

    async def traced_batch(
        batch: Sequence[Payload], deadline: float, step: int = sys.maxsize
    ) -> BatchResult:
        known = [waiting[id(each)] for each in batch if id(each) in waiting]
        counts = {
            "cell_monitor.requests": len(batch),
            "cell_monitor.events": sum(len(each.events) for each in batch),
        }
        links = [Link(each) for each in known[:_MAX_LINKS]]
        with span("store a batch", attributes=counts, links=links):
            return await store_batch(batch, deadline, step)

    queue.put = traced_put  # type: ignore[method-assign]
    store.put_or_isolate = traced_batch  # type: ignore[method-assign]
