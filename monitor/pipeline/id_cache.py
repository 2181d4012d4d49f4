"""Ids of the students, senders, notebooks and cells that events name; upserts missing rows."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg

from monitor.database.columns import columns
from monitor.events.event import Event
from monitor.pipeline.class_choice import Place
from monitor.pipeline.senders import Sender, SenderKey, find_senders


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


_EPOCH = datetime.fromtimestamp(0, UTC)
_UNKNOWN = Cell(0, _EPOCH, "", _EPOCH, -(2**31))


class IdCache:
    """Ids by name, in memory; missing ones are upserted.

    Rows are upserted outside the batch's transaction, so that no lock is held while events are
    copied; same lock order everywhere, to avoid deadlocks. A cached id stays valid because the
    schema refuses to delete what events have named. Only a removed demo's students and class are
    deleted, and then the batch finds no state of theirs.

    With more than `limit` names it starts again, empty.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.forget()

    def forget(self) -> None:
        """Drops all ids, so that the next events look theirs up in PostgreSQL."""
        # New dictionaries, not emptied ones: a batch that is being resolved keeps its own.
        self._students: dict[str, int] = {}
        self._senders: dict[SenderKey, Sender] = {}
        self._states: set[tuple[int, int]] = set()
        self._aliases: dict[int, dict[str, int]] = {}
        self._paths = 0
        self._cells: dict[tuple[int, str], Cell] = {}

    def forget_students(self) -> None:
        """Drops the students' ids: some have been merged into others."""
        self._students = {}

    def make_room(self) -> bool:
        """Starts again, empty, if the limit is reached; whether it did."""
        names = len(self._students) + len(self._senders) + len(self._cells)
        if names + len(self._states) + self._paths <= self._limit:
            return False
        self.forget()
        return True

    async def students(self, connection: asyncpg.Connection, events: list[Event]) -> list[int]:
        """The ids of the events' students."""
        ids = self._students
        if missing := {event.student for event in events if event.student not in ids}:
            rows = await connection.fetch(_UPSERT_STUDENTS, sorted(missing))
            ids.update((row["user_id"], row["id"]) for row in rows)
        return [ids[event.student] for event in events]

    async def senders(
        self, connection: asyncpg.Connection, events: list[Event], places: list[Place]
    ) -> list[Sender]:
        """The events' senders, their clocks judged by all of the events."""
        return await find_senders(connection, self._senders, events, places)

    async def ensure_states(self, connection: asyncpg.Connection, places: list[Place]) -> None:
        """Adds the missing states of these students and classes."""
        pairs = {(place.student, place.class_id) for place in places}
        if missing := pairs - self._states:
            await connection.execute(_INSERT_STATES, *columns(sorted(missing), 2))
            self._states |= missing

    def aliases_of(self, class_id: int) -> dict[str, int]:
        """The known aliases of a class, by path; those that are added later appear in it."""
        return self._aliases.setdefault(class_id, {})

    async def add_aliases(
        self, connection: asyncpg.Connection, names: set[tuple[int, str]]
    ) -> None:
        """Finds or adds the notebooks that events name, by class and path."""
        aliases = self._aliases
        rows = await connection.fetch(_UPSERT_ALIASES, *columns(sorted(names), 2))
        for row in rows:
            aliases.setdefault(row["class_id"], {})[row["path"]] = row["id"]
        self._paths += len(rows)

    async def cells(
        self, connection: asyncpg.Connection, events: list[Event], aliases: list[int | None]
    ) -> list[int | None]:
        """The ids of the events' cells; updates types and positions that have changed."""
        cells = self._cells
        changes: dict[tuple[int, str], Cell] = {}
        for event, alias in zip(events, aliases, strict=True):
            if not event.cell or not alias:
                continue
            key = (alias, event.cell)
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
            rows = await connection.fetch(_UPSERT_CELLS, *columns(keys, 2), *columns(values, 4))
            for row in rows:
                cell = Cell(
                    id=row["id"],
                    type_at=row["type_at"],
                    type=row["type"],
                    position_at=row["position_at"],
                    position=row["position"],
                )
                cells[row["alias_id"], row["cell_id"]] = cell
        return [
            cells[alias, event.cell].id if event.cell and alias else None
            for event, alias in zip(events, aliases, strict=True)
        ]


_UPSERT_STUDENTS = """
    INSERT INTO students (user_id, has_events)
    SELECT user_id, true FROM unnest($1::text[]) AS user_id
    ON CONFLICT (user_id) DO UPDATE SET has_events = true
    RETURNING COALESCE(merged_into, id) AS id, user_id
"""

# A class or student that is being deleted keeps its events out: the state is missing then.
_INSERT_STATES = """
    WITH pairs AS (
        SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS p (student_id, class_id)
    ), marked AS (
        UPDATE classes SET has_events = true WHERE id IN (
            SELECT id FROM classes
            WHERE id IN (SELECT class_id FROM pairs) AND NOT has_events
            ORDER BY id FOR NO KEY UPDATE
        )
    ), present AS MATERIALIZED (
        SELECT id FROM students WHERE id IN (SELECT student_id FROM pairs)
        ORDER BY id FOR KEY SHARE
    )
    INSERT INTO student_states (student_id, class_id)
    SELECT student_id, class_id FROM pairs JOIN present ON present.id = student_id
    WHERE class_id = 0 OR EXISTS (SELECT FROM classes WHERE id = class_id)
    ORDER BY student_id, class_id
    ON CONFLICT DO NOTHING
"""

_UPSERT_ALIASES = """
    WITH said AS MATERIALIZED (
        SELECT class_id, path, path_in_order(path) AS in_order
        FROM unnest($1::bigint[], $2::text[]) AS s (class_id, path)
    ), notebook AS (
        INSERT INTO notebooks (class_id, path, name, has_events)
        SELECT DISTINCT class_id, in_order, file_name(in_order), true FROM said
        ORDER BY class_id, in_order
        ON CONFLICT (class_id, path) DO UPDATE SET has_events = true
        RETURNING id, class_id, path
    )
    INSERT INTO notebook_aliases (class_id, path, notebook_id)
    SELECT said.class_id, said.path, notebook.id
    FROM said JOIN notebook
        ON notebook.class_id = said.class_id AND notebook.path = said.in_order
    ORDER BY said.class_id, said.path
    ON CONFLICT (class_id, path) DO UPDATE SET path = EXCLUDED.path
    RETURNING id, class_id, path
"""

_UPSERT_CELLS = """
    INSERT INTO cells AS c (alias_id, cell_id, type_at, type, position_at, position)
    SELECT alias_id, cell_id, type_at, NULLIF(type, ''),
        position_at, NULLIF(position, -2147483648)
    FROM unnest(
        $1::bigint[], $2::text[], $3::timestamptz[], $4::text[], $5::timestamptz[], $6::integer[]
    ) AS batch (alias_id, cell_id, type_at, type, position_at, position)
    ON CONFLICT (alias_id, cell_id) DO UPDATE SET
        type = CASE WHEN (EXCLUDED.type_at, EXCLUDED.type) > (c.type_at, COALESCE(c.type, ''))
               THEN EXCLUDED.type ELSE c.type END,
        type_at = GREATEST(EXCLUDED.type_at, c.type_at),
        position = CASE WHEN (EXCLUDED.position_at, EXCLUDED.position)
                             > (c.position_at, COALESCE(c.position, -2147483648))
                   THEN EXCLUDED.position ELSE c.position END,
        position_at = GREATEST(EXCLUDED.position_at, c.position_at)
    RETURNING alias_id, cell_id, id, type_at, COALESCE(type, '') AS type, position_at,
        COALESCE(position, -2147483648) AS position
"""
