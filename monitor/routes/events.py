"""`POST /events`: decode, queue, and answer once it is stored."""

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from monitor.decoding import decode
from monitor.errors import Detail, TooLarge, Unavailable, Unsupported
from monitor.events import EventData
from monitor.pipeline.batch import EventQueue, Receipt, Submission
from monitor.routes.body import DECODE_IN_THREAD, JSON, BrokenGzip, read_json
from monitor.routes.operations import Answer, Operation, errors
from monitor.routes.responses import json_response

_DESCRIPTION = """Stores events, each once.

Items that are no valid events don't keep the others out: they are kept as dead letters, and named
in `rejected`. Unknown fields are kept in `metadata`. The snake_case dialect is understood too.
"""


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


class Refused(msgspec.Struct, omit_defaults=True):
    """What is wrong, item by item; `rejected` are items that have been kept as dead letters."""

    detail: list[Detail]
    rejected: list[RejectedItem] = []


ANSWERS = {
    202: Answer("Committed", {JSON: Accepted}),
    **errors(BrokenGzip, TooLarge, Unsupported, Unavailable),
    422: Answer("No item is a valid event, or the body is not what it should be", {JSON: Refused}),
}


def operation(prefix: str, queue: EventQueue, limits: RequestLimits) -> Operation:
    async def post_events(request: Request) -> Response:
        body = await read_json(request, limits.bytes)
        decoding = (body, datetime.now(UTC), limits.events)
        large = len(body) > DECODE_IN_THREAD
        events, rejected = (
            await run_in_threadpool(decode, *decoding) if large else decode(*decoding)
        )
        received, receipt = len(events) + len(rejected), Receipt()
        if received:
            receipt = await queue.put(Submission(events, rejected, len(body)))
        return answer(received, receipt)

    path = f"{prefix}/events"
    body = list[EventData]
    return Operation(
        "POST", path, "post_events", _DESCRIPTION, "events", post_events, ANSWERS, body=body
    )


def answer(received: int, receipt: Receipt) -> Response:
    """What became of that many items."""
    rejected = [RejectedItem(item.index, item.path, item.reason) for item in receipt.rejected]
    if received and len(rejected) == received:
        return json_response(Refused([_detail(item) for item in rejected], rejected), 422)
    message = f"{received} events received and queued for processing."
    accepted = Accepted(message, received, receipt.stored, receipt.duplicates, rejected)
    return json_response(accepted, 202)


def _detail(item: RejectedItem) -> Detail:
    path = item.path.split(".") if item.path else []
    kind = "missing" if "missing" in item.reason or "required" in item.reason else "value_error"
    return Detail(("body", item.index, *path), item.reason, kind)
