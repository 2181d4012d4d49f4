"""Legacy clients: `/student-progress` takes one event, `/cell-monitor` cells."""

from collections.abc import Iterator
from time import perf_counter
from typing import Any

from starlette.types import Receive, Scope

from monitor.errors import Detail, InvalidBody
from monitor.events.decoding import CELL_MONITOR, EVENT_DIALECTS, Dialect
from monitor.events.dialects import EventData
from monitor.events.json_text import in_utf8
from monitor.events.legacy import CellMonitorData
from monitor.http.declarations import Operation
from monitor.http.ingest import Take
from monitor.routes.events import ANSWERS, Intake, decode_body, store


def _text(body: bytes) -> bytes:
    """The body without a byte order mark, so that it can stand in an array."""
    try:
        return in_utf8(body)
    except UnicodeDecodeError as error:
        reason = f"The body is not {error.encoding.upper()}: {error.reason}"
        raise InvalidBody(Detail(("body",), reason, "json_invalid")) from None


def operations(prefix: str, intake: Intake) -> Iterator[Operation]:
    """The operations of both paths."""

    async def take(
        scope: Scope, receive: Receive, single: bool | None, dialects: tuple[Dialect, ...]
    ) -> tuple[int, bytes]:
        try:
            body = await intake.bodies.read(scope, receive)
            began = perf_counter()
            size, body = len(body), _text(body)
            if single is None:
                single = body.lstrip()[:1] != b"["
            array = b"[%s]" % body if single else body
            payload = await decode_body(intake, array, scope, dialects)
        finally:
            intake.bodies.release(scope)
        if single and len(payload) != 1:
            raise InvalidBody(Detail(("body",), "The body is not one JSON object", "json_invalid"))
        answer = await store(intake, scope, payload, size)
        intake.durations.observe(perf_counter() - began)
        return answer

    async def post_student_progress(scope: Scope, receive: Receive) -> tuple[int, bytes]:
        """Stores one event, as `/events` does with an array of one."""
        return await take(scope, receive, True, EVENT_DIALECTS)

    async def post_cell_monitor(scope: Scope, receive: Receive) -> tuple[int, bytes]:
        """Stores a cell that ran, or an array of them, as `/events` does with events."""
        return await take(scope, receive, None, (CELL_MONITOR,))

    def operation(path: str, take_body: Take, body: Any) -> Operation:
        return Operation(
            method="POST",
            path=f"{prefix}{path}",
            name=take_body.__name__,
            summary=take_body.__doc__ or "",
            tag="events",
            take=take_body,
            answers=ANSWERS,
            body=body,
        )

    yield operation("/student-progress", post_student_progress, EventData)
    yield operation("/cell-monitor", post_cell_monitor, CellMonitorData | list[CellMonitorData])
