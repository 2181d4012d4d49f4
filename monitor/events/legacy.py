"""The wire format of older clients, which post executed cells to `/cell-monitor`."""

import uuid
from datetime import datetime

import msgspec

from monitor.events.dialects import EventData, to_event
from monitor.events.event import NO_SOURCE, Event, Indexed, Int32, Source
from monitor.events.metadata import Metadata
from monitor.events.outputs import Outputs

_FAILED = frozenset({"error", "failed", "failure"})
_STARTED = frozenset({"running", "started", "start", "pending", "queued", "busy"})


class CellMonitorData(
    msgspec.Struct, rename="camel", forbid_unknown_fields=True, eq=False, gc=False
):
    """An executed cell. `execution_time` is in seconds."""

    user_id: Indexed | None = None
    notebook_path: Indexed | None = None
    cell_id: Indexed | None = None
    cell_index: Int32 | None = None
    cell_type: Indexed | None = None
    cell_content: str | None = None
    outputs: Outputs = None
    execution_count: Int32 | None = None
    execution_time: float | None = None
    execution_status: str | None = None
    timestamp: datetime | None = None
    event_id: uuid.UUID | None = None
    class_code: Indexed | None = None
    metadata: Metadata | None = None


def cell_to_event(
    cell: CellMonitorData, received_at: datetime, source: Source = NO_SOURCE
) -> Event:
    """The execution, or its start, as an event. Raises InvalidItem as `to_event` does."""
    status = (cell.execution_status or "").lower()
    seconds = cell.execution_time
    data = EventData(
        event_type="cell_execution_start" if status in _STARTED else "cell_executed",
        event_id=cell.event_id,
        event_time=cell.timestamp,
        user_id=cell.user_id,
        notebook_path=cell.notebook_path,
        cell_id=cell.cell_id,
        cell_index=cell.cell_index,
        cell_type=cell.cell_type,
        code=cell.cell_content,
        execution_count=cell.execution_count,
        has_error=True if status in _FAILED else None,
        result=cell.outputs,
        execution_duration_ms=None if seconds is None else seconds * 1000,
        class_code=cell.class_code,
        metadata=cell.metadata,
    )
    return to_event(data, received_at, source)
