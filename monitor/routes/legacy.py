"""What older clients post: one event to `/student-progress`, cells to `/cell-monitor`."""

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from monitor.errors import Detail, InvalidBody
from monitor.events.decoding import CELL_MONITOR, EVENT_DIALECTS, Dialect
from monitor.events.dialects import EventData
from monitor.events.legacy import CellMonitorData
from monitor.http.body import JSON, BodyReader
from monitor.http.operations import Endpoint, Operation
from monitor.pipeline.queue import EventQueue, Receipt
from monitor.routes.events import ANSWERS, Admit, answer, decode_body


def operations(
    prefix: str, queue: EventQueue, bodies: BodyReader, max_events: int, admit: Admit
) -> Iterator[Operation]:
    async def take(
        request: Request, single: bool | None, dialects: tuple[Dialect, ...]
    ) -> Response:
        body = await bodies.read(request.scope, request.receive)
        if single is None:
            single = body.lstrip()[:1] != b"["
        array = b"[%s]" % body if single else body
        items = await decode_body(array, max_events, dialects)
        if single and len(items) != 1:
            raise InvalidBody(Detail(("body",), "The body is not one JSON object", "json_invalid"))
        admit(request.scope, items, len(body))
        receipt = await queue.put(items, len(body)) if len(items) else Receipt()
        status, told = answer(len(items), receipt)
        return Response(told, status, media_type=JSON)

    async def post_student_progress(request: Request) -> Response:
        """Stores one event, as `/events` does with an array of one."""
        return await take(request, True, EVENT_DIALECTS)

    async def post_cell_monitor(request: Request) -> Response:
        """Stores a cell that ran, or an array of them, as `/events` does with events."""
        return await take(request, None, (CELL_MONITOR,))

    def described(path: str, endpoint: Endpoint, body: Any) -> Operation:
        name, summary = endpoint.__name__, endpoint.__doc__ or ""
        return Operation(
            "POST", f"{prefix}{path}", name, summary, "events", endpoint, ANSWERS, body=body
        )

    yield described("/student-progress", post_student_progress, EventData)
    yield described("/cell-monitor", post_cell_monitor, CellMonitorData | list[CellMonitorData])
