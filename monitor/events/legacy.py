"""The wire of older clients, which post cells to `/cell-monitor`."""

import uuid
from collections.abc import Iterator
from datetime import datetime

import msgspec

from monitor.events.dialects import EventData
from monitor.events.event import Event, Indexed, Int32
from monitor.events.metadata import Metadata

_FAILED = frozenset({"error", "failed", "failure"})
_STARTED = frozenset({"running", "started", "start", "pending", "queued", "busy"})


class Output(msgspec.Struct):
    """One of nbformat's outputs: text, or data by media type, or an error."""

    text: str | list[str] | None = None
    data: dict[str, msgspec.Raw] | None = None
    ename: str | None = None
    evalue: str | None = None

    @property
    def shown(self) -> str:
        if self.text is not None:
            return _joined(self.text)
        plain = (self.data or {}).get("text/plain")
        try:
            return _joined(_TEXT.decode(plain)) if plain is not None else ""
        except msgspec.ValidationError:
            return ""

    @property
    def error(self) -> str:
        return ": ".join(part for part in (self.ename, self.evalue) if part)


class CellMonitorData(
    msgspec.Struct, rename="camel", forbid_unknown_fields=True, eq=False, gc=False
):
    """A cell that ran. `execution_time` is in seconds."""

    user_id: Indexed | None = None
    notebook_path: Indexed | None = None
    cell_id: Indexed | None = None
    cell_index: Int32 | None = None
    cell_type: Indexed | None = None
    cell_content: str | None = None
    outputs: list[Output | str] | str | None = None
    execution_count: Int32 | None = None
    execution_time: float | None = None
    execution_status: str | None = None
    timestamp: datetime | None = None
    event_id: uuid.UUID | None = None
    metadata: Metadata | None = None

    def to_event(self, received_at: datetime) -> Event:
        status = (self.execution_status or "").lower()
        error = next(self._errors(), None)
        return EventData(
            event_type="cell_execution_start" if status in _STARTED else "cell_executed",
            event_id=self.event_id,
            event_time=self.timestamp,
            user_id=self.user_id,
            notebook_path=self.notebook_path,
            cell_id=self.cell_id,
            cell_index=self.cell_index,
            cell_type=self.cell_type,
            code=self.cell_content,
            execution_count=self.execution_count,
            has_error=status in _FAILED or error is not None,
            error_message=error,
            result=self._shown(),
            execution_duration_ms=(
                None if self.execution_time is None else self.execution_time * 1000
            ),
            metadata=self.metadata,
        ).to_event(received_at)

    def _shown(self) -> str | None:
        if self.outputs is None or isinstance(self.outputs, str):
            return self.outputs
        return "".join(each if isinstance(each, str) else each.shown for each in self.outputs)

    def _errors(self) -> Iterator[str]:
        for each in self.outputs or ():
            if isinstance(each, Output) and each.error:
                yield each.error


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


_TEXT = msgspec.json.Decoder(str | list[str])
