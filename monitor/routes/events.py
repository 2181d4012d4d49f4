"""`POST /events`: decode, queue, and answer once it is stored."""

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from monitor.decoding import decode
from monitor.errors import Detail
from monitor.pipeline.batch import EventQueue, Receipt
from monitor.routes.body import read_json

_DECODE_IN_THREAD = 512 * 1024  # bytes; more of them would hold up other requests


class RequestLimits(NamedTuple):
    """How much one request may bring."""

    events: int
    bytes: int


class RejectedItem(msgspec.Struct):
    """Where a rejected item stands in the request, the field at fault, and what is wrong."""

    index: int
    path: str
    reason: str


class Accepted(msgspec.Struct):
    """The answer: each item received is stored, a duplicate, or rejected."""

    message: str
    received: int
    stored: int
    duplicates: int
    rejected: list[RejectedItem]


class Spooled(msgspec.Struct):
    """The answer while PostgreSQL is away: which of the events are new is not known yet."""

    message: str
    received: int
    spooled: int
    rejected: list[RejectedItem]


class EventsEndpoint:
    """Takes events by ASGI itself: Starlette's Request and Response cost a tenth of the time."""

    def __init__(self, queue: EventQueue, limits: RequestLimits) -> None:
        self._queue = queue
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_json(scope, receive, self._limits.bytes)
        decoding = (body, datetime.now(UTC), self._limits.events)
        large = len(body) > _DECODE_IN_THREAD
        items = await run_in_threadpool(decode, *decoding) if large else decode(*decoding)
        receipt = await self._queue.put(items, len(body)) if len(items) else Receipt()
        status, body = _answer(len(items), receipt)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def routes(prefix: str, queue: EventQueue, limits: RequestLimits) -> list[Route]:
    return [Route(f"{prefix}/events", EventsEndpoint(queue, limits), methods=["POST"])]


def _answer(received: int, receipt: Receipt) -> tuple[int, bytes]:
    rejected = [RejectedItem(item.index, item.path, item.reason) for item in receipt.rejected]
    if received and len(rejected) == received:
        detail = [_detail(item) for item in rejected]
        return 422, msgspec.json.encode({"detail": detail, "rejected": rejected})
    message = f"{received} events received and queued for processing."
    if receipt.spooled:
        spooled = Spooled(message, received, receipt.spooled, rejected)
        return 202, msgspec.json.encode(spooled)
    accepted = Accepted(message, received, receipt.stored, receipt.duplicates, rejected)
    return 202, msgspec.json.encode(accepted)


def _detail(item: RejectedItem) -> Detail:
    path = item.path.split(".") if item.path else []
    kind = "missing" if "missing" in item.reason or "required" in item.reason else "value_error"
    return Detail(("body", item.index, *path), item.reason, kind)
