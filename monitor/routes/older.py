"""What older clients post: one event to `/student-progress`, cells to `/cell-monitor`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from monitor.cell_monitor import CellMonitorData
from monitor.decoding import CELL_MONITOR, EVENTS, Dialect, decode
from monitor.errors import Detail, InvalidBody
from monitor.events import EventData
from monitor.pipeline.batch import EventQueue, Receipt, Submission
from monitor.routes.body import DECODE_IN_THREAD, read_json
from monitor.routes.events import ANSWERS, RequestLimits, answer
from monitor.routes.operations import Endpoint, Operation


def operations(prefix: str, queue: EventQueue, limits: RequestLimits) -> Iterator[Operation]:
    async def take(body: bytes, single: bool, dialects: tuple[Dialect, ...]) -> Response:
        array = b"[%s]" % body if single else body
        decoding = (array, datetime.now(UTC), limits.events, dialects)
        large = len(body) > DECODE_IN_THREAD
        events, rejected = (
            await run_in_threadpool(decode, *decoding) if large else decode(*decoding)
        )
        received, receipt = len(events) + len(rejected), Receipt()
        if single and received != 1:
            raise InvalidBody(Detail(("body",), "The body is not one JSON object", "json_invalid"))
        if received:
            receipt = await queue.put(Submission(events, rejected, len(body)))
        return answer(received, receipt)

    async def post_student_progress(request: Request) -> Response:
        """Stores one event, as `/events` does with an array of one."""
        return await take(await read_json(request, limits.bytes), True, EVENTS)

    async def post_cell_monitor(request: Request) -> Response:
        """Stores a cell that ran, or an array of them, as `/events` does with events."""
        body = await read_json(request, limits.bytes)
        return await take(body, body.lstrip()[:1] != b"[", (CELL_MONITOR,))

    def described(path: str, endpoint: Endpoint, body: Any) -> Operation:
        name, summary = endpoint.__name__, endpoint.__doc__ or ""
        return Operation(
            "POST", f"{prefix}{path}", name, summary, "events", endpoint, ANSWERS, body=body
        )

    yield described("/student-progress", post_student_progress, EventData)
    yield described("/cell-monitor", post_cell_monitor, CellMonitorData | list[CellMonitorData])
