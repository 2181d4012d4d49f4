"""Ids of the students, senders, notebooks and cells that events name; upserts missing rows."""

import asyncpg

from monitor.database.columns import columns
from monitor.events.event import Event
from monitor.pipeline.class_choice import Place
from monitor.pipeline.new_names import NewNames
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
        self.new = NewNames()
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

    async def students(
        self, connection: asyncpg.Connection, events: list[Event]
    ) -> list[int | None]:
        """The ids of the events' students; None for a new one beyond the bound."""
        ids = self._students
        if missing := [event for event in events if event.student not in ids]:
            taken = self.new.take_students(missing)
            added: set[str] = set()
            try:
                names = sorted({event.student for event in missing})
                rows = await connection.fetch(_UPSERT_STUDENTS, names, list(taken))
                ids.update((row["user_id"], row["id"]) for row in rows)
                added = {row["user_id"] for row in rows if row["is_new"]}
            finally:
                for name in taken.keys() - added:
                    self.new.students.give_back(taken[name])
        return [ids.get(event.student) for event in events]

    async def senders(
        self, connection: asyncpg.Connection, events: list[Event], places: list[Place]
    ) -> list[Sender]:
        """The events' senders, their clocks judged by all of the events.

        A new session beyond the bound is moved to its event's metadata.
        """
        taken = await self._bound_sessions(connection, events, places)
        memory, added = self._senders, set[SenderKey]()
        try:
            senders = await find_senders(connection, memory, events, places)
            added = {key for key in taken if memory[key].is_new}
        finally:
            for key in taken.keys() - added:
                self.new.give_back_session(taken[key])
        return senders

    async def _bound_sessions(
        self, connection: asyncpg.Connection, events: list[Event], places: list[Place]
    ) -> dict[SenderKey, Event]:
        """The senders that may be new sessions, each with an event."""
        taken: dict[SenderKey, Event] = {}
        over: list[tuple[Event, Place]] = []
        refused: set[SenderKey] = set()
        for event, place in zip(events, places, strict=True):
            key = (place.student, event.session or "", event.source.credential or "")
            if not event.session or key in self._senders or key in taken:
                continue
            if key not in refused and self.new.take_session(event):
                taken[key] = event
            else:
                refused.add(key)
                over.append((event, place))
        if over:
            pairs = sorted({key[:2] for key in refused})
            rows = await connection.fetch(_SELECT_SESSIONS, *columns(pairs, 2))
            known = {(row["student_id"], row["session_id"]) for row in rows}
            for event, place in over:
                if (place.student, event.session) not in known:
                    self.new.leave_session_out(event, place)
        return taken

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

    async def name_notebooks(
        self, connection: asyncpg.Connection, names: dict[tuple[int, str], int]
    ) -> dict[tuple[int, str], int]:
        """Finds or adds the notebooks that events name, by class and path; values are students.

        Returns their aliases, without those beyond a student's limit.
        """
        rows = [(student, *name) for name, student in sorted(names.items())]
        found = await connection.fetch(_NAME_NOTEBOOKS, *columns(rows, 3))
        self._paths += len(found)
        return {(row["class_id"], row["path"]): row["id"] for row in found}

    async def add_cells(
        self, connection: asyncpg.Connection, names: dict[CellKey, Row], cells: dict[CellKey, int]
    ) -> None:
        """Finds or adds the cells that events name, by alias and name; the rows are _NAME_CELLS'.

        Adds them to `cells`, except those beyond a student's limit.
        """
        rows = [names[name] for name in sorted(names)]
        for row in await connection.fetch(_NAME_CELLS, *columns(rows, 6)):
            cells[row["alias_id"], row["cell_id"]] = row["id"]


# Those of $1 that exist or may be added, which are $2.
_UPSERT_STUDENTS = """
    INSERT INTO students (user_id, has_events)
    SELECT user_id, true FROM unnest($1::text[]) AS named (user_id)
    WHERE user_id = ANY ($2::text[])
        OR (SELECT id FROM students AS s WHERE s.user_id = named.user_id OFFSET 0) IS NOT NULL
    ON CONFLICT (user_id) DO UPDATE SET has_events = true
    RETURNING COALESCE(merged_into, id) AS id, user_id, xmax = 0 AS is_new
"""

_SELECT_SESSIONS = """
    SELECT s.student_id, s.session_id
    FROM unnest($1::bigint[], $2::text[]) AS t (student_id, session_id)
    CROSS JOIN LATERAL (
        SELECT student_id, session_id FROM sessions
        WHERE student_id = t.student_id AND session_id = t.session_id OFFSET 0
    ) AS s
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
