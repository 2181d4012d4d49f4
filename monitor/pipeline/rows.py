"""Builds an event's row, and its changes to the student and the session.

Pure functions: events and ids in, rows out.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from monitor.events.event import Event
from monitor.events.metadata import merged
from monitor.events.types import (
    ACTIONS,
    CELL_EXECUTIONS,
    EVENTS_TABLE,
    EXECUTIONS,
    FAILURES,
    NOTEBOOK_ACCESSES,
    Table,
    status,
)
from monitor.pipeline.id_cache import ResolvedIds

Row = tuple[Any, ...]
_NEVER = datetime.fromtimestamp(0, UTC)


# Fields for which an event's home table may lack a column: their names in its metadata, where
# they are kept then, and the attributes of Event.
_NO_FIELDS: dict[str, str] = {}
_CELL_FIELDS = {"cellId": "cell", "cellIndex": "cell_index"}
_RUN_FIELDS = {
    "code": "code",
    "executionCount": "execution_count",
    "hasError": "failed",
    "errorMessage": "error",
    "result": "output",
    "executionDurationMs": "duration_ms",
}


def home_row(event: Event, ids: ResolvedIds) -> tuple[Table, Row]:
    """The one row of an event, and its table."""
    kind, cell = event.type, ids.cell
    head = (
        ids.student,
        event.time,
        event.id,
        event.received_at,
        kind,
        ids.session,
        ids.notebook,
        cell,
        event.cell_type,
    )
    without_column = _CELL_FIELDS if cell is None and event.cell else _NO_FIELDS
    if kind in EXECUTIONS or kind in FAILURES:
        return CELL_EXECUTIONS, (
            *head,
            event.execution_count,
            status(event),
            event.duration_ms,
            event.code,
            event.output,
            event.error,
            _metadata(event, without_column) if without_column else event.metadata,
        )
    metadata = _metadata(event, without_column | _RUN_FIELDS)
    if action := ACTIONS.get(kind):
        return NOTEBOOK_ACCESSES, (*head, action, metadata)
    return EVENTS_TABLE, (*head, metadata)


def _metadata(event: Event, without_column: dict[str, str]) -> str:
    """The event's metadata with these fields added, where they say anything."""
    fields = {name: getattr(event, attribute) for name, attribute in without_column.items()}
    kept = {name: value for name, value in fields.items() if value not in (None, False)}
    if not kept:
        return event.metadata
    metadata = msgspec.json.decode(event.metadata, type=dict[str, msgspec.Raw])
    others = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in kept.items()}
    return msgspec.json.encode(merged(metadata, others)).decode()


class StudentDelta(msgspec.Struct, omit_defaults=True):
    """A batch's changes to one student. Each text is the latest, with its event's time."""

    id: int
    first_at: datetime
    last_at: datetime
    last_event_received_at: datetime  # receipt of the event of `last_at`
    received_at: datetime
    executions: int
    errors: int
    help_at: datetime | None = None
    help_stop_at: datetime | None = None
    name_at: datetime = _NEVER
    name: str = ""
    email_at: datetime = _NEVER
    email: str = ""
    team_at: datetime = _NEVER
    team: str = ""

    @classmethod
    def of(cls, event: Event, student: int) -> "StudentDelta":
        """A delta for the student with this id that has counted nothing yet, not even the event."""
        at, received_at = event.time, event.received_at
        return cls(
            id=student,
            first_at=at,
            last_at=at,
            last_event_received_at=received_at,
            received_at=received_at,
            executions=0,
            errors=0,
        )

    def add(self, event: Event, is_new: bool) -> None:
        """Adds an event; one that is not new was counted when it was first committed."""
        at = event.time
        if at < self.first_at:
            self.first_at = at
        if at > self.last_at:
            self.last_at, self.last_event_received_at = at, event.received_at
        if event.received_at > self.received_at:
            self.received_at = event.received_at
        if is_new and (event.type in EXECUTIONS or event.type in FAILURES):
            self._count(event)
        elif event.type == "help":
            self.help_at = max(self.help_at or at, at)
        elif event.type == "help_stop":
            self.help_stop_at = max(self.help_stop_at or at, at)
        if event.name and (at, event.name) > (self.name_at, self.name):
            self.name_at, self.name = at, event.name
        if event.email and (at, event.email) > (self.email_at, self.email):
            self.email_at, self.email = at, event.email
        if event.team and (at, event.team) > (self.team_at, self.team):
            self.team_at, self.team = at, event.team

    def _count(self, execution: Event) -> None:
        self.executions += 1
        if status(execution) == "error":
            self.errors += 1


def student_deltas(
    new: Iterable[tuple[Event, ResolvedIds]],
    recommitted: Iterable[tuple[Event, ResolvedIds]] = (),
) -> list[StudentDelta]:
    """The events' changes to each student."""
    deltas: dict[int, StudentDelta] = {}
    for pairs, is_new in ((new, True), (recommitted, False)):
        for event, ids in pairs:
            delta = deltas.get(ids.student)
            if delta is None:
                deltas[ids.student] = delta = StudentDelta.of(event, ids.student)
            delta.add(event, is_new)
    return list(deltas.values())


class SessionChange(NamedTuple):
    """The start or the end of a session."""

    session: int
    started_at: datetime | None
    ended_at: datetime | None


def session_changes(events: Iterable[tuple[Event, ResolvedIds]]) -> list[SessionChange]:
    """The starts and ends of sessions among the events, in the order of the sessions' ids."""
    changes = []
    for event, ids in events:
        if ids.session is None:
            continue
        if event.type == "session_start":
            changes.append(SessionChange(ids.session, event.time, None))
        elif event.type == "session_end":
            changes.append(SessionChange(ids.session, None, event.time))
    return sorted(changes, key=lambda change: change.session)
