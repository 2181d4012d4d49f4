"""What each type of event means: its home row, and what it tells of its student and session.

All of it is pure: events and ids in, rows out.
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


# Where an event's home has no column for a field, the field is kept in its metadata.
_NONE: dict[str, str] = {}
_CELL_FIELDS = {"cellId": "cell", "cellIndex": "cell_index"}
_RUN_FIELDS = {
    "code": "code",
    "executionCount": "execution_count",
    "hasError": "failed",
    "errorMessage": "error",
    "result": "output",
    "executionDurationMs": "duration_ms",
}


def home_row(event: Event, place: ResolvedIds) -> tuple[Table, Row]:
    """The one row of an event, and the table that it belongs in."""
    kind, cell = event.type, place.cell
    head = (
        place.student,
        event.time,
        event.id,
        event.received_at,
        kind,
        place.session,
        place.notebook,
        cell,
        event.cell_type,
    )
    homeless = _CELL_FIELDS if cell is None and event.cell else _NONE
    if kind in EXECUTIONS or kind in FAILURES:
        return CELL_EXECUTIONS, (
            *head,
            event.execution_count,
            status(event),
            event.duration_ms,
            event.code,
            event.output,
            event.error,
            _metadata(event, homeless) if homeless else event.metadata,
        )
    metadata = _metadata(event, homeless | _RUN_FIELDS)
    if action := ACTIONS.get(kind):
        return NOTEBOOK_ACCESSES, (*head, action, metadata)
    return EVENTS_TABLE, (*head, metadata)


def _metadata(event: Event, homeless: dict[str, str]) -> str:
    fields = {name: getattr(event, attribute) for name, attribute in homeless.items()}
    kept = {name: value for name, value in fields.items() if value not in (None, False)}
    if not kept:
        return event.metadata
    metadata = msgspec.json.decode(event.metadata, type=dict[str, msgspec.Raw])
    others = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in kept.items()}
    return msgspec.json.encode(merged(metadata, others)).decode()


class StudentDelta(msgspec.Struct, omit_defaults=True):
    """What a batch tells of one student. Texts are those said last, with the times they have."""

    id: int
    first_at: datetime
    last_at: datetime
    heard_at: datetime  # when the event of `last_at` was received
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
        at, received_at = event.time, event.received_at
        return cls(student, at, at, received_at, received_at, 0, 0)

    def add(self, event: Event, counted: bool) -> None:
        at = event.time
        if at < self.first_at:
            self.first_at = at
        if at > self.last_at:
            self.last_at, self.heard_at = at, event.received_at
        if event.received_at > self.received_at:
            self.received_at = event.received_at
        if event.type in EXECUTIONS or event.type in FAILURES:
            self.executions += counted
            self.errors += counted and status(event) == "error"
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


def student_deltas(
    events: Iterable[tuple[Event, ResolvedIds]],
    counted_before: Iterable[tuple[Event, ResolvedIds]] = (),
) -> list[StudentDelta]:
    """What the events tell of each student."""
    found: dict[int, StudentDelta] = {}
    for pairs, counted in ((events, True), (counted_before, False)):
        for event, place in pairs:
            activity = found.get(place.student)
            if activity is None:
                found[place.student] = activity = StudentDelta.of(event, place.student)
            activity.add(event, counted)
    return list(found.values())


class SessionChange(NamedTuple):
    """The start or end of a session."""

    session: int
    started_at: datetime | None
    ended_at: datetime | None


def session_changes(events: Iterable[tuple[Event, ResolvedIds]]) -> list[SessionChange]:
    """The starts and ends of sessions that the events tell of."""
    found = []
    for event, place in events:
        if place.session is not None and event.type in ("session_start", "session_end"):
            starts, at = event.type == "session_start", event.time
            found.append(
                SessionChange(place.session, at if starts else None, None if starts else at)
            )
    return sorted(found, key=lambda turn: turn.session)
