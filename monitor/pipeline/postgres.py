"""The sink that is the truth: a batch of events into PostgreSQL, by COPY, in one transaction."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import asyncpg
import msgspec

from monitor.database.partitions import ensure_partitions, month_of
from monitor.database.pool import DATABASE_ERRORS, cut_at, to_unavailable
from monitor.errors import RowRefused
from monitor.events.event import Event
from monitor.pipeline.copying import Copied, PendingRow, copy, copy_new
from monitor.pipeline.handler_runner import queue_runs
from monitor.pipeline.handlers import Handlers
from monitor.pipeline.id_cache import IdCache
from monitor.pipeline.rows import home_row, session_changes, student_deltas

# The data's own fault: the same rows will never be taken. All else may pass.
_DATA_ERRORS = (
    asyncpg.DataError,
    asyncpg.NotNullViolationError,
    asyncpg.ProgramLimitExceededError,
    ValueError,  # asyncpg's encoders, its own DataError among them
    OverflowError,
)
_NEVER = (datetime.max.replace(tzinfo=UTC),) * 2


class Totals(NamedTuple):
    """A student's counters after a batch, and the ids of the classes that they are in."""

    executions: int
    errors: int
    classes: list[int]


class Stored(NamedTuple):
    """What became of a batch: new events, those stored before, the totals by student.

    `outbox_id` names the note that the points of the new events are still to be written.
    """

    events: list[Event]
    duplicates: list[Event]
    totals: dict[str, Totals]
    outbox_id: int | None = None


class PostgresSink:
    """Writes batches of events, each event exactly once.

    `replica` names the line of the ledger; with `outbox`, each batch leaves a note there, and
    events leave notes for those of the handlers that want them.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        references: IdCache,
        replica: uuid.UUID,
        outbox: bool,
        handlers: Handlers,
    ) -> None:
        self._pool = pool
        self._references = references
        self._replica = replica
        self._outbox = outbox
        self._handlers = handlers
        self._months: set[datetime] = set()  # that are known to have partitions
        self._month = _NEVER  # the one of them that the last batch was of

    async def write(self, events: list[Event], deadline: float) -> Stored:
        """Commits the events that are new.

        Raises RowRefused when one of them can't be stored as it is; nothing of the batch is
        committed then. Raises Unavailable when PostgreSQL can't do it now or, by the event loop's
        clock, not until `deadline`; whether it was committed after all shows when it is written
        again.
        """
        try:
            async with cut_at(self._pool, deadline) as connection:
                return await self._write(connection, events)
        except _DATA_ERRORS as error:
            raise RowRefused(str(error)) from error
        except DATABASE_ERRORS as error:
            # Whatever it was, what we remember of the database may no longer hold.
            self._references.forget()
            self._months, self._month = set(), _NEVER
            raise to_unavailable(error) from error

    async def _write(self, connection: asyncpg.Connection, events: list[Event]) -> Stored:
        places = await self._references.resolve(connection, events)
        await self._cover(connection, events)
        entries = [
            PendingRow(event, place, *home_row(event, place))
            for event, place in zip(events, places, strict=True)
        ]
        distinct = _distinct(entries)
        repeated = len(entries) - len(distinct)
        try:
            async with connection.transaction():
                await copy(connection, distinct)
                copied = Copied(distinct, [])
                rows = await self._count(connection, copied, repeated)
                await _enrol(connection, distinct, rows)
        except asyncpg.UniqueViolationError:
            async with connection.transaction():
                copied = await copy_new(connection, distinct)
                repeated = len(entries) - len(copied.new) - len(copied.before)
                rows = await self._count(connection, copied, repeated)
                await _enrol(connection, distinct, rows)
        return _stored(events, copied, rows)

    async def _count(
        self, connection: asyncpg.Connection, copied: Copied, repeated: int
    ) -> list[asyncpg.Record]:
        """Adds the batch to what is kept of its students and sessions, to ledger and outbox."""
        new, before = copied
        pairs = [(entry.event, entry.place) for entry in new]
        found = student_deltas(pairs, [(entry.event, entry.place) for entry in before])
        if changes := session_changes(pairs):
            await connection.executemany(_UPDATE_SESSIONS, changes)
        told = msgspec.json.encode(found).decode()
        since = min((entry.event.received_at for entry in (*new, *before)), default=None)
        rows: list[asyncpg.Record] = await connection.fetch(
            _UPDATE_STUDENTS, told, self._outbox, self._replica, len(new), repeated, since
        )
        if len(rows) < len(found):
            raise asyncpg.ForeignKeyViolationError("a student of the batch has been deleted")
        if self._handlers:
            await queue_runs(connection, self._handlers, (entry.event for entry in new))
        return rows

    async def _cover(self, connection: asyncpg.Connection, events: list[Event]) -> None:
        """Sees to it that there is a partition for each of the events' months."""
        times = [event.time for event in events]
        if self._month[0] <= min(times) and max(times) < self._month[1]:
            return
        months = set(map(month_of, times))
        await ensure_partitions(connection, months - self._months)
        self._months |= months
        self._month = _span(max(months))


def _span(month: datetime) -> tuple[datetime, datetime]:
    """Its start, and that of the next one."""
    return month, month_of(month + timedelta(days=31))


def _distinct(entries: list[PendingRow]) -> list[PendingRow]:
    if len({entry.event.id.int for entry in entries}) == len(entries):
        return entries
    first: dict[tuple[object, ...], PendingRow] = {}
    for entry in entries:
        first.setdefault(entry.key, entry)
    return list(first.values())


async def _enrol(
    connection: asyncpg.Connection, entries: list[PendingRow], rows: list[asyncpg.Record]
) -> None:
    """Puts students on the roster of the class whose key has brought their events.

    Adds it to their classes in `rows`, so that the class hears of these events already. A student
    of others is only noted as pending there: the key says which class posts, not who.
    """
    classes = {row["user_id"]: row["classes"] for row in rows}
    missing = {
        (entry.place.student, class_id): classes[entry.event.student]
        for entry in entries
        if (class_id := entry.event.class_id) is not None
        and (known := classes.get(entry.event.student)) is not None
        and class_id not in known
    }
    if missing:
        pairs = zip(*sorted(missing), strict=True)
        for row in await connection.fetch(_ENROL, *pairs):
            missing[row["student_id"], row["class_id"]].append(row["class_id"])


def _stored(events: list[Event], copied: Copied, rows: list[asyncpg.Record]) -> Stored:
    totals = {
        row["user_id"]: Totals(row["executions"], row["errors"], row["classes"]) for row in rows
    }
    outbox_id = rows[0]["outbox_id"] if rows else None
    if len(copied.new) == len(events):
        return Stored(events, [], totals, outbox_id)
    stored = [entry.event for entry in (*copied.new, *copied.before)]
    ids = set(map(id, stored))
    duplicates = [event for event in events if id(event) not in ids]
    return Stored(stored, duplicates, totals, outbox_id)


_ENROL = """
    WITH enrolled AS (
        INSERT INTO student_classes (student_id, class_id, role)
        SELECT student_id, class_id, CASE WHEN is_of_others(student_id, ARRAY(
            SELECT teacher_id FROM teaching WHERE teaching.class_id = told.class_id
        )) THEN 'pending' ELSE 'student' END
        FROM unnest($1::bigint[], $2::bigint[]) AS told (student_id, class_id)
        WHERE EXISTS (SELECT FROM classes WHERE id = class_id)
        ON CONFLICT DO NOTHING RETURNING student_id, class_id, role
    )
    SELECT student_id, class_id FROM enrolled WHERE role = 'student'
"""

# The students come as JSON: as arrays, one for each column, they take four times as long to encode.
_UPDATE_STUDENTS = """
    WITH told AS MATERIALIZED (
        SELECT * FROM json_to_recordset($1) AS told (
            id bigint, first_at timestamptz, last_at timestamptz, heard_at timestamptz,
            received_at timestamptz, executions bigint, errors bigint,
            help_at timestamptz, help_stop_at timestamptz, name_at timestamptz, name text,
            email_at timestamptz, email text, team_at timestamptz, team text
        )
    ),
    locked AS MATERIALIZED (  -- in an order that all writers share: none waits in a circle
        SELECT id FROM students WHERE id = ANY(ARRAY(SELECT id FROM told))
        ORDER BY id FOR NO KEY UPDATE
    ),
    batch AS (
        SELECT array_agg(id) AS student_ids,
            array_agg(first_at) AS first_times, array_agg(last_at) AS last_times
        FROM told HAVING count(*) > 0
    ),
    noted AS (
        INSERT INTO outbox_points (student_ids, first_times, last_times)
        SELECT * FROM batch WHERE $2
        RETURNING id
    ),
    counted AS (
        INSERT INTO ledger AS l (replica, stored, duplicates) VALUES ($3, $4, $5)
        ON CONFLICT (replica) DO UPDATE SET
            stored = l.stored + EXCLUDED.stored, duplicates = l.duplicates + EXCLUDED.duplicates
    ),
    marked AS (
        INSERT INTO outbox_counts (received_at, student_ids, first_times, last_times)
        SELECT $6, batch.* FROM batch
    )
    UPDATE students AS s SET
        executions = s.executions + a.executions,
        errors = s.errors + a.errors,
        last_event_at = GREATEST(s.last_event_at, a.last_at),
        clock_skew = CASE WHEN s.last_received_at > a.received_at
                     THEN s.clock_skew ELSE a.heard_at - a.last_at END,
        last_received_at = GREATEST(s.last_received_at, a.received_at),
        help_at = GREATEST(s.help_at, a.help_at),
        help_stop_at = GREATEST(s.help_stop_at, a.help_stop_at),
        name = CASE WHEN (a.name_at, a.name) > (s.name_at, COALESCE(s.name, ''))
               THEN a.name ELSE s.name END,
        name_at = GREATEST(s.name_at, a.name_at),
        email = CASE WHEN (a.email_at, a.email) > (s.email_at, COALESCE(s.email, ''))
                THEN a.email ELSE s.email END,
        email_at = GREATEST(s.email_at, a.email_at),
        team = CASE WHEN (a.team_at, a.team) > (s.team_at, COALESCE(s.team, ''))
               THEN a.team ELSE s.team END,
        team_at = GREATEST(s.team_at, a.team_at)
    FROM told AS a
    JOIN locked USING (id)
    WHERE s.id = a.id
    RETURNING s.user_id, s.executions, s.errors, (SELECT id FROM noted) AS outbox_id,
        ARRAY(
            SELECT class_id FROM student_classes AS c
            WHERE c.student_id = s.id AND c.role = 'student'
        ) AS classes
"""

_UPDATE_SESSIONS = """
    UPDATE sessions SET
        last_start_time = GREATEST(last_start_time, $2),
        end_time = GREATEST(end_time, $3)
    WHERE id = $1
"""
