"""Builds an event's row, and its changes to the student and the session.

Pure functions: events and ids in, rows out.
"""

from bisect import bisect, insort
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from monitor.database.members import MAX_ERRORS_IN_A_ROW
from monitor.events.event import Event
from monitor.events.metadata import as_raw, merged_json
from monitor.events.types import (
    ACTIONS,
    CELL_EXECUTIONS,
    START,
    Table,
    home_table,
    status,
)
from monitor.pipeline.resolving import Resolved

Row = tuple[Any, ...]
_NEVER = datetime.fromtimestamp(0, UTC)


# Fields for which an event's home table may lack a column: their names in its metadata, where
# they are kept then, and the attributes of Event.
_NO_FIELDS: dict[str, str] = {}
_CELL_FIELDS = {"cellId": "cell"}
_PLACE_FIELDS = {"notebookPath": "notebook"} | _CELL_FIELDS
_RUN_FIELDS = {
    "code": "code",
    "executionCount": "execution_count",
    "hasError": "failed",
    "errorMessage": "error",
    "result": "output",
    "executionDurationMs": "duration_ms",
}


def home_row(event: Event, resolved: Resolved) -> Row:
    """The columns of the event's one row, in its home table."""
    kind, cell, place = event.type, resolved.cell, resolved.place
    without_column = _NO_FIELDS
    if cell is None and (event.cell or event.notebook):
        without_column = _CELL_FIELDS if resolved.alias else _PLACE_FIELDS
    if home_table(kind) is CELL_EXECUTIONS:
        return (
            place.student,
            event.time,
            event.id,
            event.received_at,
            kind,
            resolved.session,
            resolved.alias,
            cell,
            event.cell_index,
            event.cell_type,
            resolved.clock_offset,
            event.execution_count,
            status(event),
            event.duration_ms,
            event.code,
            event.output,
            event.error,
            _metadata(event, without_column) if without_column else event.metadata,
            *place.columns,
        )
    head = (
        place.student,
        event.time,
        event.id,
        event.received_at,
        kind,
        resolved.session,
        resolved.alias,
        cell,
        event.cell_index,
        event.cell_type,
        resolved.clock_offset,
    )
    metadata = _metadata(event, without_column | _RUN_FIELDS)
    if action := ACTIONS.get(kind):
        return (*head, action, metadata, *place.columns)
    return (*head, metadata, *place.columns)


def _metadata(event: Event, without_column: dict[str, str]) -> str:
    """The event's metadata with these fields added, where they say anything."""
    fields = {name: getattr(event, attribute) for name, attribute in without_column.items()}
    kept = {name: value for name, value in fields.items() if value not in (None, False)}
    if not kept:
        return event.metadata
    return merged_json(event.metadata, {name: as_raw(value) for name, value in kept.items()})


class StateDelta(msgspec.Struct, omit_defaults=True):
    """A batch's changes to a student's state in a class.

    The claimed times of all its events lie between `first_at` and `last_at`; all others are put
    right. Each text is the latest, with its event's time and the credential that claimed it.
    """

    student_id: int
    class_id: int
    first_at: datetime
    last_at: datetime
    received_at: datetime = _NEVER
    executions: int = 0
    errors: int = 0
    last_success_at: datetime = _NEVER
    error_times: list[datetime] = []  # since the last success; the latest of them, ascending
    alias_at: datetime = _NEVER
    alias_id: int | None = None
    cell_at: datetime = _NEVER
    cell_id: int | None = None
    cell_index: int | None = None
    started_at: datetime | None = None
    started_alias: int | None = None
    started_cell: int | None = None
    help_at: datetime | None = None
    help_stop_at: datetime | None = None
    name_at: datetime = _NEVER
    name: str = ""
    name_by: str | None = None
    email_at: datetime = _NEVER
    email: str = ""
    email_by: str | None = None
    team_at: datetime = _NEVER
    team: str = ""
    team_by: str | None = None
    verified_by: str | None = None
    verified_until: str | None = None
    least_offset: int = 0
    greatest_offset: int = 0

    def add(  # noqa: C901 - once for each event of the fast path
        self, event: Event, resolved: Resolved, outcome: str | None, is_new: bool
    ) -> None:
        """Adds an event; one that is not new was counted when it was first committed.

        `outcome` is the status of its execution; None if it is none.
        """
        time, at = event.time, resolved.at
        if time < self.first_at:
            self.first_at = time
        elif time > self.last_at:
            self.last_at = time
        if resolved.place.disputed:
            return
        if event.received_at > self.received_at:
            self.received_at = event.received_at
        if resolved.clock_offset:
            self._widen(resolved.clock_offset)
        if resolved.alias and at >= self.alias_at:
            self.alias_at, self.alias_id = at, resolved.alias
        if resolved.cell and at >= self.cell_at:
            self.cell_at, self.cell_id, self.cell_index = at, resolved.cell, event.cell_index
        if outcome:
            if is_new and outcome == "success":
                self.executions += 1
                if at > self.last_success_at:
                    self._succeed(at)
            elif is_new and outcome == "error":
                self._fail(at)
        elif event.type == "help":
            self.help_at = max(self.help_at or at, at)
        elif event.type == "help_stop":
            self.help_stop_at = max(self.help_stop_at or at, at)
        elif event.type == START:
            self._start(event, resolved)
        source, name, email, team = event.source, event.name, event.email, event.team
        if name and at >= self.name_at and (at > self.name_at or name > self.name):
            self.name_at, self.name, self.name_by = at, name, source.credential
        if email and at >= self.email_at and (at > self.email_at or email > self.email):
            self.email_at, self.email, self.email_by = at, email, source.credential
        if team and at >= self.team_at and (at > self.team_at or team > self.team):
            self.team_at, self.team, self.team_by = at, team, source.credential
        if source.verified:
            self.verified_by = source.credential
            self.verified_until = _timestamp(source.valid_until)

    def _widen(self, clock_offset: int) -> None:
        self.least_offset = min(self.least_offset, clock_offset)
        self.greatest_offset = max(self.greatest_offset, clock_offset)

    def _start(self, event: Event, resolved: Resolved) -> None:
        at = resolved.at
        if status(event) and (self.started_at is None or at >= self.started_at):
            self.started_at = at
            self.started_alias, self.started_cell = resolved.alias, resolved.cell

    def _succeed(self, at: datetime) -> None:
        self.last_success_at = at
        if self.error_times:
            del self.error_times[: bisect(self.error_times, at)]

    def _fail(self, at: datetime) -> None:
        self.executions += 1
        self.errors += 1
        if at > self.last_success_at:
            insort(self.error_times, at)
            del self.error_times[:-MAX_ERRORS_IN_A_ROW]


def _timestamp(seconds: float | None) -> str:
    """Seconds since 1970 as PostgreSQL reads them; None is never."""
    return "infinity" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


class PendingRow(msgspec.Struct, frozen=True, gc=False):
    """A row to copy, of the event at `position` in its batch.

    `outcome` is the status of its execution; None if it is none.
    """

    position: int
    event: Event
    resolved: Resolved
    table: Table
    outcome: str | None

    @property
    def key(self) -> tuple[object, ...]:
        """The table's name, and the primary key that the row has in it."""
        return (self.table.name, self.resolved.place.student, self.event.time, self.event.id)

    @property
    def values(self) -> Row:
        """The columns of its table."""
        return home_row(self.event, self.resolved)


def pending_row(position: int, event: Event, resolved: Resolved) -> PendingRow:
    """The row of an event, which has one."""
    table = home_table(event.type)
    outcome = status(event) if table is CELL_EXECUTIONS else None
    return PendingRow(position, event, resolved, table, outcome)


def state_deltas(
    new: Iterable[PendingRow], recommitted: Iterable[PendingRow] = ()
) -> list[StateDelta]:
    """The events' changes to each student's state in each class, in the order of their ids."""
    deltas: dict[tuple[int, int], StateDelta] = {}
    by_place: dict[int, StateDelta] = {}  # by its id: a look-up of numbers is the faster one
    for rows, is_new in ((new, True), (recommitted, False)):
        for row in rows:
            event, resolved = row.event, row.resolved
            place = resolved.place
            delta = by_place.get(id(place))
            if delta is None:
                key = (place.student, place.class_id)
                delta = deltas.setdefault(key, StateDelta(*key, event.time, event.time))
                by_place[id(place)] = delta
            delta.add(event, resolved, row.outcome, is_new)
    return [deltas[key] for key in sorted(deltas)]


def encode(deltas: list[StateDelta]) -> str:
    """The deltas as JSON, for `monitor.pipeline.record_batch`; they are used up.

    A time that is the last event's, as most are, is left out: PostgreSQL reads them slowly.
    """
    for delta in deltas:
        last_at = delta.last_at
        if delta.last_success_at == last_at:
            delta.last_success_at = _NEVER
        if delta.alias_at == last_at:
            delta.alias_at = _NEVER
        if delta.cell_at == last_at:
            delta.cell_at = _NEVER
        if delta.name_at == last_at:
            delta.name_at = _NEVER
        if delta.email_at == last_at:
            delta.email_at = _NEVER
        if delta.team_at == last_at:
            delta.team_at = _NEVER
    return msgspec.json.encode(deltas).decode()


class SessionChange(NamedTuple):
    """The start or the end of a session."""

    session: int
    started_at: datetime | None
    ended_at: datetime | None


def session_changes(rows: Iterable[PendingRow]) -> list[SessionChange]:
    """The starts and ends of sessions, in the order in which `senders` locks sessions, too."""
    changes = []
    for row in rows:
        session, event = row.resolved.session, row.event
        if session is None or event.type not in ("session_start", "session_end"):
            continue
        is_start = event.type == "session_start"
        times = (event.time, None) if is_start else (None, event.time)
        order = row.resolved.place.student, event.session or ""
        changes.append((order, SessionChange(session, *times)))
    return [change for _, change in sorted(changes, key=lambda each: each[0])]
