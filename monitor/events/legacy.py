"""The wire format of older clients, which post executed cells to `/cell-monitor`."""

import uuid
from collections.abc import Iterator
from datetime import datetime

import msgspec

from monitor.events.dialects import EventData, to_event
from monitor.events.event import NO_SOURCE, Event, Indexed, Int32, Source
from monitor.events.metadata import Metadata

_FAILED = frozenset({"error", "failed", "failure"})
_STARTED = frozenset({"running", "started", "start", "pending", "queued", "busy"})


class CellOutput(msgspec.Struct):
    """An output as in nbformat: text, data by media type, or an error."""

    text: str | list[str] | None = None
    data: dict[str, msgspec.Raw] | None = None
    ename: str | None = None
    evalue: str | None = None

    @property
    def shown_text(self) -> str:
        """The text, or the data of type text/plain; empty if it has neither."""
        if self.text is not None:
            return _joined(self.text)
        plain = (self.data or {}).get("text/plain")
        try:
            return _joined(_TEXT.decode(plain)) if plain is not None else ""
        except msgspec.ValidationError:
            return ""

    @property
    def error(self) -> str:
        """The error as `name: message`; empty if this is none."""
        return ": ".join(part for part in (self.ename, self.evalue) if part)


Outputs = list[CellOutput | str] | str | None


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
    error = next(_errors(cell.outputs), None)
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
        has_error=status in _FAILED or error is not None,
        error_message=error,
        result=_shown_text(cell.outputs),
        execution_duration_ms=None if seconds is None else seconds * 1000,
        class_code=cell.class_code,
        metadata=cell.metadata,
    )
    return to_event(data, received_at, source)


def _shown_text(outputs: Outputs) -> str | None:
    if outputs is None or isinstance(outputs, str):
        return outputs
    return "".join(each if isinstance(each, str) else each.shown_text for each in outputs)


def _errors(outputs: Outputs) -> Iterator[str]:
    for each in outputs or ():
        if isinstance(each, CellOutput) and each.error:
            yield each.error


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


_TEXT = msgspec.json.Decoder(str | list[str])
