"""Ids of the students, sessions, notebooks and cells that events name; upserts missing rows."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import msgspec

from monitor.events.event import Event


class ResolvedIds(msgspec.Struct, frozen=True, gc=False):
    """The ids that an event's row refers to."""

    student: int
    session: int | None
    notebook: int | None
    cell: int | None


class Session(NamedTuple):
    """A session's id, and the time of its earliest event so far."""

    id: int
    start_time: datetime


class Cell(NamedTuple):
    """A cell as PostgreSQL or a batch has it; each value with the time of its event."""

    id: int
    type_at: datetime
    type: str
    position_at: datetime
    position: int

    def updated(self, event: Event) -> "Cell | None":
        """The cell after this event; None if the event changes nothing."""
        at, kind, position = event.time, event.cell_type, event.cell_index
        changes: dict[str, Any] = {}
        if kind and kind != self.type and (at, kind) > (self.type_at, self.type):
            changes |= {"type_at": at, "type": kind}
        if (
            position is not None
            and position != self.position
            and (at, position) > (self.position_at, self.position)
        ):
            changes |= {"position_at": at, "position": position}
        return self._replace(**changes) if changes else None


# Still this far ahead: at its first receipt it may have been over the limit, so look its time up.
_AHEAD = timedelta(hours=1)
_EPOCH = datetime.fromtimestamp(0, UTC)
_UNKNOWN = Cell(0, _EPOCH, "", _EPOCH, -(2**31))


class IdCache:
    """Ids by name, in memory; missing ones are upserted.

    Rows are upserted outside the batch's transaction, so that no lock is held while events are
    copied; same lock order everywhere, to avoid deadlocks. A cached id stays valid because the
    schema refuses to delete what events have named.

    With more than `limit` names it starts again, empty.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.forget()

    def forget(self) -> None:
        """Drops all ids, so that the next events look theirs up in PostgreSQL."""
        # New dictionaries, not emptied ones: a batch that is being resolved keeps its own.
        self._students: dict[str, int] = {}
        self._sessions: dict[tuple[int, str], Session] = {}
        self._notebooks: dict[str, int] = {}
        self._cells: dict[tuple[int, str], Cell] = {}

    async def resolve(
        self, connection: asyncpg.Connection, events: list[Event]
    ) -> list[ResolvedIds]:
        """The ids of each event. Gives events without a time that of their first receipt."""
        if len(self._sessions) + len(self._cells) + len(self._students) > self._limit:
            self.forget()
        students = await self._resolve_students(connection, events)
        await _fix_times(connection, events, students)
        sessions = await self._resolve_sessions(connection, events, students)
        notebooks = await self._resolve_notebooks(connection, events)
        cells = await self._resolve_cells(connection, events, notebooks)
        return list(map(ResolvedIds, students, sessions, notebooks, cells))

    async def _resolve_students(
        self, connection: asyncpg.Connection, events: list[Event]
    ) -> list[int]:
        ids = self._students
        if missing := {event.student for event in events if event.student not in ids}:
            rows = await connection.fetch(_UPSERT_STUDENTS, sorted(missing))
            ids.update((row["user_id"], row["id"]) for row in rows)
        return [ids[event.student] for event in events]

    async def _resolve_sessions(
        self, connection: asyncpg.Connection, events: list[Event], students: list[int]
    ) -> list[int | None]:
        sessions = self._sessions
        starts: dict[tuple[int, str], datetime] = {}
        for event, student in zip(events, students, strict=True):
            if not event.session:
                continue
            key, time = (student, event.session), event.time
            session = sessions.get(key)
            if session is None or time < session.start_time:
                starts[key] = min(time, starts.get(key, time))
        if starts:
            keys = sorted(starts)
            rows = await connection.fetch(
                _UPSERT_SESSIONS, *_columns(keys, 2), [starts[key] for key in keys]
            )
            for row in rows:
                sessions[row["student_id"], row["session_id"]] = Session(
                    row["id"], row["start_time"]
                )
        return [
            sessions[student, event.session].id if event.session else None
            for event, student in zip(events, students, strict=True)
        ]

    async def _resolve_notebooks(
        self, connection: asyncpg.Connection, events: list[Event]
    ) -> list[int | None]:
        ids = self._notebooks
        paths = {event.notebook for event in events}
        if missing := {path for path in paths if path and path not in ids}:
            rows = await connection.fetch(_UPSERT_NOTEBOOKS, sorted(missing))
            ids.update((row["path"], row["id"]) for row in rows)
        return [ids[event.notebook] if event.notebook else None for event in events]

    async def _resolve_cells(
        self, connection: asyncpg.Connection, events: list[Event], notebooks: list[int | None]
    ) -> list[int | None]:
        cells = self._cells
        changes: dict[tuple[int, str], Cell] = {}
        for event, notebook in zip(events, notebooks, strict=True):
            if not event.cell or not notebook:
                continue
            key = (notebook, event.cell)
            cell = changes.get(key) or cells.get(key)
            if cell and event.cell_type == cell.type and event.cell_index == cell.position:
                continue
            if updated := (cell or _UNKNOWN).updated(event):
                changes[key] = updated
            elif cell is None:
                changes[key] = _UNKNOWN
        if changes:
            keys = sorted(changes)
            values = [changes[key][1:] for key in keys]
            rows = await connection.fetch(_UPSERT_CELLS, *_columns(keys, 2), *_columns(values, 4))
            for row in rows:
                cell = Cell(
                    id=row["id"],
                    type_at=row["type_at"],
                    type=row["type"],
                    position_at=row["position_at"],
                    position=row["position"],
                )
                cells[row["notebook_id"], row["cell_id"]] = cell
        return [
            cells[notebook, event.cell].id if event.cell and notebook else None
            for event, notebook in zip(events, notebooks, strict=True)
        ]


def _columns(keys: list[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[key[column] for key in keys] for column in range(width)]


async def _fix_times(
    connection: asyncpg.Connection, events: list[Event], students: list[int]
) -> None:
    """Gives each event without a usable time the time of its first receipt."""
    doubtful = [
        (student, event.id, event.received_at, event)
        for event, student in zip(events, students, strict=True)
        if event.untimed or event.time > event.received_at + _AHEAD
    ]
    if not doubtful:
        return
    doubtful.sort(key=lambda row: row[:3])
    untimed = [row for row in doubtful if row[3].untimed]
    await connection.execute(_INSERT_FIRST_RECEIPTS, *_columns(untimed, 3))
    rows = await connection.fetch(_SELECT_FIRST_RECEIPTS, *_columns(doubtful, 2))
    times = {(row["student_id"], row["event_id"]): row["received_at"] for row in rows}
    for student, event_id, _, event in doubtful:
        event.time, event.untimed = times.get((student, event_id), event.time), False


_UPSERT_STUDENTS = """
    INSERT INTO students (user_id, has_events)
    SELECT user_id, true FROM unnest($1::text[]) AS user_id
    ON CONFLICT (user_id) DO UPDATE SET has_events = true
    RETURNING id, user_id
"""

_UPSERT_SESSIONS = """
    INSERT INTO sessions AS s (student_id, session_id, start_time)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::timestamptz[])
    ON CONFLICT (student_id, session_id)
    DO UPDATE SET start_time = LEAST(s.start_time, EXCLUDED.start_time)
    RETURNING id, student_id, session_id, start_time
"""

_UPSERT_NOTEBOOKS = """
    INSERT INTO notebooks (path, name, has_events)
    SELECT path, regexp_replace(path, '^.*/(?=.)', ''), true FROM unnest($1::text[]) AS path
    ON CONFLICT (path) DO UPDATE SET has_events = true
    RETURNING id, path
"""

_UPSERT_CELLS = """
    INSERT INTO cells AS c (notebook_id, cell_id, type_at, type, position_at, position)
    SELECT notebook_id, cell_id, type_at, NULLIF(type, ''),
        position_at, NULLIF(position, -2147483648)
    FROM unnest(
        $1::bigint[], $2::text[], $3::timestamptz[], $4::text[], $5::timestamptz[], $6::integer[]
    ) AS batch (notebook_id, cell_id, type_at, type, position_at, position)
    ON CONFLICT (notebook_id, cell_id) DO UPDATE SET
        type = CASE WHEN (EXCLUDED.type_at, EXCLUDED.type) > (c.type_at, COALESCE(c.type, ''))
               THEN EXCLUDED.type ELSE c.type END,
        type_at = GREATEST(EXCLUDED.type_at, c.type_at),
        position = CASE WHEN (EXCLUDED.position_at, EXCLUDED.position)
                             > (c.position_at, COALESCE(c.position, -2147483648))
                   THEN EXCLUDED.position ELSE c.position END,
        position_at = GREATEST(EXCLUDED.position_at, c.position_at)
    RETURNING notebook_id, cell_id, id, type_at, COALESCE(type, '') AS type, position_at,
        COALESCE(position, -2147483648) AS position
"""

_INSERT_FIRST_RECEIPTS = """
    INSERT INTO first_receipts (student_id, event_id, received_at)
    SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::timestamptz[])
    ON CONFLICT DO NOTHING
"""

_SELECT_FIRST_RECEIPTS = """
    SELECT student_id, event_id, received_at
    FROM unnest($1::bigint[], $2::uuid[]) AS doubtful (student_id, event_id)
    JOIN first_receipts USING (student_id, event_id)
"""
