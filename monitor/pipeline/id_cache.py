"""Ids of the students, senders, notebooks and cells that events name; upserts missing rows."""

import asyncpg

from monitor.database.columns import columns
from monitor.events.event import Event
from monitor.pipeline.class_choice import Place
from monitor.pipeline.senders import Sender, SenderKey, find_senders

CellKey = tuple[int, str]  # an alias, and the cell's name
Row = tuple[int | str | None, ...]


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
        self._cells: dict[CellKey, int] = {}

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

    @property
    def cells(self) -> dict[CellKey, int]:
        """The known cells; those that are added later appear in it."""
        return self._cells

    async def add_aliases(
        self,
        connection: asyncpg.Connection,
        names: dict[tuple[int, str], int],
        aliases: dict[int, dict[str, int]],
    ) -> None:
        """Finds or adds the notebooks that events name, by class and path; values are students.

        Adds them to `aliases`, by class, except those beyond a student's limit.
        """
        rows = [(student, *name) for name, student in sorted(names.items())]
        for row in await connection.fetch(_NAME_NOTEBOOKS, *columns(rows, 3)):
            aliases[row["class_id"]][row["path"]] = row["id"]
            self._paths += 1

    async def add_cells(
        self, connection: asyncpg.Connection, names: dict[CellKey, Row], cells: dict[CellKey, int]
    ) -> None:
        """Finds or adds the cells that events name, by alias and name; the rows are _NAME_CELLS'.

        Adds them to `cells`, except those beyond a student's limit.
        """
        rows = [names[name] for name in sorted(names)]
        for row in await connection.fetch(_NAME_CELLS, *columns(rows, 6)):
            cells[row["alias_id"], row["cell_id"]] = row["id"]


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
        SELECT p.* FROM (SELECT * FROM pairs ORDER BY student_id, class_id) AS p
        CROSS JOIN LATERAL (SELECT FROM students WHERE id = p.student_id FOR KEY SHARE) AS s
    )
    INSERT INTO student_states (student_id, class_id)
    SELECT student_id, class_id FROM present
    WHERE class_id = 0 OR EXISTS (SELECT FROM classes WHERE id = class_id)
    ORDER BY student_id, class_id
    ON CONFLICT DO NOTHING
"""

_NAME_NOTEBOOKS = """
    SELECT id, class_id, path FROM name_notebooks($1::bigint[], $2::bigint[], $3::text[])
"""

_NAME_CELLS = """
    SELECT id, alias_id, cell_id FROM name_cells(
        $1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::integer[]
    )
"""
