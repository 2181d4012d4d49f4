"""`POST /events`: decode, queue, and answer once it is stored."""

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitor.decoding import decode
from monitor.errors import Detail
from monitor.pipeline.batch import EventQueue, Receipt, Submission
from monitor.routes.body import read_json
from monitor.routes.responses import json_response

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


def routes(prefix: str, queue: EventQueue, limits: RequestLimits) -> list[Route]:
    async def post_events(request: Request) -> Response:
        body = await read_json(request, limits.bytes)
        decoding = (body, datetime.now(UTC), limits.events)
        large = len(body) > _DECODE_IN_THREAD
        events, rejected = (
            await run_in_threadpool(decode, *decoding) if large else decode(*decoding)
        )
        received, receipt = len(events) + len(rejected), Receipt()
        if received:
            receipt = await queue.put(Submission(events, rejected, len(body)))
        return _answer(received, receipt)

    return [Route(f"{prefix}/events", post_events, methods=["POST"])]


def _answer(received: int, receipt: Receipt) -> Response:
    rejected = [RejectedItem(item.index, item.path, item.reason) for item in receipt.rejected]
    if received and len(rejected) == received:
        return json_response(
            {"detail": [_detail(item) for item in rejected], "rejected": rejected}, 422
        )
    message = f"{received} events received and queued for processing."
    accepted = Accepted(message, received, receipt.stored, receipt.duplicates, rejected)
    return json_response(accepted, 202)


def _detail(item: RejectedItem) -> Detail:
    path = item.path.split(".") if item.path else []
    kind = "missing" if "missing" in item.reason or "required" in item.reason else "value_error"
    return Detail(("body", item.index, *path), item.reason, kind)
