"""The wire: the two dialects in which events arrive at `/events`."""

import uuid
from datetime import UTC, datetime

import msgspec

from monitor.errors import InvalidItem
from monitor.events.event import NEWEST, OLDEST, Event, Indexed, Int32, Required, derived_id, in_utc
from monitor.events.metadata import Metadata, as_raw, checked, merged


class EventData(
    msgspec.Struct,
    rename="camel",
    forbid_unknown_fields=True,
    omit_defaults=True,
    eq=False,
    gc=False,
):
    """An event in the dialect of the JupyterLab extension."""

    event_type: Required
    event_id: uuid.UUID | None = None
    event_time: datetime | None = None
    user_id: Indexed | None = None
    email_address: Indexed | None = None
    user_name: Indexed | None = None
    team_name: Indexed | None = None
    session_id: Indexed | None = None
    notebook_path: Indexed | None = None
    cell_id: Indexed | None = None
    cell_index: Int32 | None = None
    cell_type: Indexed | None = None
    code: str | None = None
    execution_count: Int32 | None = None
    has_error: bool | None = None
    error_message: str | None = None
    result: str | list[str] | None = None
    execution_duration_ms: float | None = None
    metadata: Metadata | None = None

    def to_event(self, received_at: datetime) -> Event:
        """Raises InvalidItem when it doesn't say who."""
        student = self.user_id or self.email_address
        if not student:
            raise InvalidItem("userId", "One of userId and emailAddress is required")
        event_id = self.event_id or self._derived_id()
        time = self.event_time
        if time is not None:
            time = self._usable(time, received_at)
        result = self.result
        return Event(
            event_id,
            self.event_type,
            time or received_at,
            # Without an id a retry can't be told from a new event: nothing to fix the time for.
            time is None and (self.event_id is not None or self.event_time is not None),
            received_at,
            student,
            self.user_name or None,
            self.email_address or None,
            self.team_name or None,
            self.session_id or None,
            self.notebook_path or None,
            self.cell_id or None,
            self.cell_type or None,
            self.cell_index,
            self.code,
            self.execution_count,
            self.has_error is True,
            "".join(result) if isinstance(result, list) else result,
            self.error_message,
            self.execution_duration_ms,
            checked(self.metadata) if self.metadata else "{}",
        )

    @classmethod
    def of(cls, event: Event) -> "EventData":
        """The event as the extension would send it."""
        return cls(
            event_type=event.type,
            event_id=event.id,
            event_time=None if event.untimed else event.time,
            user_id=event.student,
            email_address=event.email,
            user_name=event.name,
            team_name=event.team,
            session_id=event.session,
            notebook_path=event.notebook,
            cell_id=event.cell,
            cell_index=event.cell_index,
            cell_type=event.cell_type,
            code=event.code,
            execution_count=event.execution_count,
            has_error=event.failed or None,
            error_message=event.error,
            result=event.output,
            execution_duration_ms=event.duration_ms,
            metadata=msgspec.json.decode(event.metadata, type=Metadata),
        )

    def _derived_id(self) -> uuid.UUID:
        """The same for the same content, however it is written."""
        if self.event_time is None:
            return uuid.uuid4()
        self.event_time = in_utc(self.event_time)
        return derived_id(msgspec.json.format(msgspec.json.encode(self), indent=-1).decode())

    def _usable(self, time: datetime, received_at: datetime) -> datetime | None:
        """The time in UTC, or None when it is absurd; the metadata then keeps it."""
        if time.tzinfo is not UTC:
            time = in_utc(time)
        if received_at - OLDEST <= time <= received_at + NEWEST:
            return time
        self.metadata = merged(self.metadata, {"eventTime": as_raw(self.event_time)})
        return None


class SnakeError(msgspec.Struct):
    name: str | None = None
    message: str | None = None
    traceback: msgspec.Raw = msgspec.Raw()

    def __str__(self) -> str:
        return ": ".join(part for part in (self.name, self.message) if part)


class SnakeEventData(msgspec.Struct, forbid_unknown_fields=True, eq=False, gc=False):
    """The same event in the snake_case dialect."""

    event_type: Required
    event_id: uuid.UUID | None = None
    timestamp: datetime | None = None
    student_id: Indexed | None = None
    email_address: Indexed | None = None
    user_name: Indexed | None = None
    team_name: Indexed | None = None
    session_id: Indexed | None = None
    notebook_path: Indexed | None = None
    cell_id: Indexed | None = None
    cell_index: Int32 | None = None
    cell_type: Indexed | None = None
    code: str | None = None
    execution_count: Int32 | None = None
    success: bool | None = None
    error: SnakeError | str | None = None
    output: str | list[str] | None = None
    duration_ms: float | None = None
    metadata: Metadata | None = None

    def to_event(self, received_at: datetime) -> Event:
        return EventData(
            event_type=self.event_type,
            event_id=self.event_id,
            event_time=self.timestamp,
            user_id=self.student_id,
            email_address=self.email_address,
            user_name=self.user_name,
            team_name=self.team_name,
            session_id=self.session_id,
            notebook_path=self.notebook_path,
            cell_id=self.cell_id,
            cell_index=self.cell_index,
            cell_type=self.cell_type,
            code=self.code,
            execution_count=self.execution_count,
            has_error=self.error is not None if self.success is None else not self.success,
            error_message=None if self.error is None else str(self.error),
            result=self.output,
            execution_duration_ms=self.duration_ms,
            metadata=self._metadata(),
        ).to_event(received_at)

    def _metadata(self) -> Metadata | None:
        if isinstance(self.error, SnakeError) and bytes(self.error.traceback) not in (b"", b"null"):
            return merged(self.metadata, {"traceback": self.error.traceback})
        return self.metadata


def as_json(event: Event) -> str:
    """The event as the extension would have sent it."""
    return msgspec.json.encode(EventData.of(event)).decode()
