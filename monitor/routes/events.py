"""`POST /events`: decodes, queues, and answers once the events are stored."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from time import perf_counter
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope

from monitor.auth.call import Call
from monitor.auth.source import source_of
from monitor.durations import Durations
from monitor.errors import (
    Detail,
    Forbidden,
    MonitorError,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from monitor.events.decoding import EVENT_DIALECTS, LARGE_BODY, Dialect, decode
from monitor.events.dialects import EventData
from monitor.events.event import Payload
from monitor.http.answers import Answer, errors
from monitor.http.body import JSON, BrokenGzip
from monitor.http.declarations import Operation
from monitor.http.event_bodies import EventBodies
from monitor.pipeline.queue import EventQueue, Receipt
from monitor.right_of_way import BULK, RightOfWay

_DESCRIPTION = """Stores events, each once.

Invalid items don't keep the others out: they are kept as dead letters, and listed
in `rejected`. Unknown fields are kept in `metadata`. The snake_case dialect is understood too.
"""


class Intake(NamedTuple):
    """The context that the ingest routes share.

    `bodies` reads the bodies, of at most `max_events` items; `admit` raises if a call's payload of
    that size (bytes) is refused. `durations` are from a complete body until the answer. Bulk
    waits by `right_of_way`.
    """

    queue: EventQueue
    bodies: EventBodies
    max_events: int
    admit: Callable[[Scope, Payload, int], None]
    refund: Callable[[Scope, int], None]
    durations: Durations
    right_of_way: RightOfWay


class RejectedItem(msgspec.Struct):
    """Where a rejected item stands in the request, the field at fault, and what is wrong."""

    index: int
    path: str
    reason: str


class Accepted(msgspec.Struct, kw_only=True):
    """The answer: each item received is stored, a duplicate, or rejected.

    While PostgreSQL is unavailable nobody can tell which events are new: they are `spooled`.
    """

    message: str
    received: int
    stored: int | UnsetType = UNSET
    duplicates: int | UnsetType = UNSET
    spooled: int | UnsetType = UNSET
    rejected: list[RejectedItem]


class Refused(msgspec.Struct, omit_defaults=True):
    """What is wrong, item by item; `rejected` are items that have been kept as dead letters."""

    detail: list[Detail]
    rejected: list[RejectedItem] = []


ANSWERS = {
    202: Answer("On disk: committed, or spooled until it can be", {JSON: Accepted}),
    **errors(BrokenGzip, TooLarge, Unsupported, Unavailable, Unauthenticated, Forbidden),
    422: Answer("No item is a valid event, or the body is not what it should be", {JSON: Refused}),
}


def operation(prefix: str, intake: Intake) -> Operation:
    """`POST /events`."""

    async def post_events(scope: Scope, receive: Receive) -> tuple[int, bytes]:
        try:
            body = await intake.bodies.read(scope, receive)
            began = perf_counter()
            payload = await decode_body(intake, body, scope)
        finally:
            intake.bodies.release(scope)
        answer = await store(intake, scope, payload, len(body))
        intake.durations.observe(perf_counter() - began)
        return answer

    return Operation(
        method="POST",
        path=f"{prefix}/events",
        name="post_events",
        summary=_DESCRIPTION,
        tag="events",
        take=post_events,
        answers=ANSWERS,
        body=list[EventData],
    )


async def decode_body(
    intake: Intake, body: bytes, scope: Scope, dialects: tuple[Dialect, ...] = EVENT_DIALECTS
) -> Payload:
    """The items of a body received now by a call; a large one is decoded in a thread, in turn.

    One of many events waits while a teacher's call is answered.

    Raises InvalidBody if it isn't a JSON array, TooLarge for too many items, and OverLimit or
    Unavailable where too much waits to be decoded.
    """
    received_at = datetime.now(UTC)
    if len(body) > BULK:
        await intake.right_of_way.give()
    call: Call = scope["call"]
    source = source_of(call, scope, received_at)
    decoding = (body, received_at, intake.max_events, dialects, source, intake.bodies.max_bytes)
    if len(body) > LARGE_BODY:
        async with intake.bodies.decoding(call, len(body)):
            return await run_in_threadpool(decode, *decoding)
    return decode(*decoding)


async def store(intake: Intake, scope: Scope, payload: Payload, size: int) -> tuple[int, bytes]:
    """Stores the payload of a body of `size` bytes; the status and the JSON that answer it."""
    received = len(payload)
    intake.admit(scope, payload, size)
    kept = min(size, intake.bodies.max_bytes)  # a larger body has been cut
    receipt = Receipt()
    if received:
        call: Call = scope["call"]
        try:
            receipt = await intake.queue.put(payload, kept, call.payer, call.part)
        except MonitorError:
            intake.refund(scope, received)
            raise
    intake.refund(scope, receipt.duplicates)
    if receipt.rejected:
        return _answer_with_rejected(received, receipt)
    return 202, _accepted(received, receipt.stored, receipt.duplicates, receipt.spooled)


def _answer_with_rejected(received: int, receipt: Receipt) -> tuple[int, bytes]:
    rejected = [RejectedItem(item.index, item.path, item.reason) for item in receipt.rejected]
    is_invalid = not any(item.by_policy for item in receipt.rejected)
    if len(rejected) == received and is_invalid:
        details = [_detail(item) for item in rejected]
        return 422, msgspec.json.encode(Refused(details, rejected))
    counts = receipt.stored, receipt.duplicates, receipt.spooled
    return 202, msgspec.json.encode(_acceptance(received, *counts, rejected=rejected))


@lru_cache(1024)
def _accepted(received: int, stored: int, duplicates: int, spooled: int) -> bytes:
    """The usual answer: most requests have a few events, which are all stored."""
    return msgspec.json.encode(_acceptance(received, stored, duplicates, spooled, rejected=[]))


def _acceptance(
    received: int, stored: int, duplicates: int, spooled: int, *, rejected: list[RejectedItem]
) -> Accepted:
    accepted = Accepted(
        message=f"{received} events received and queued for processing.",
        received=received,
        rejected=rejected,
    )
    if spooled:
        accepted.spooled = spooled
    else:
        accepted.stored, accepted.duplicates = stored, duplicates
    return accepted


def _detail(item: RejectedItem) -> Detail:
    path = item.path.split(".") if item.path else []
    kind = "missing" if "missing" in item.reason or "required" in item.reason else "value_error"
    return Detail(("body", item.index, *path), item.reason, kind)
