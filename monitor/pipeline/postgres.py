"""The primary sink: a batch of events into PostgreSQL, by COPY, in one transaction."""

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

# Errors of the rows themselves, which would be refused again; any other may be temporary.
_DATA_ERRORS = (
    asyncpg.DataError,
    asyncpg.NotNullViolationError,
    asyncpg.ProgramLimitExceededError,
    ValueError,  # asyncpg's encoders, its own DataError among them
    OverflowError,
)
_NEVER = (datetime.max.replace(tzinfo=UTC),) * 2


class Totals(NamedTuple):
    """A student's counters after a batch, and the ids of the student's classes."""

    executions: int
    errors: int
    classes: list[int]


class Stored(NamedTuple):
    """A committed batch: its new events, the positions of its duplicates, the totals by student.

    `outbox_id` is the row of outbox_points for the new events; None without InfluxDB.
    """

    events: list[Event]
    duplicates: list[int]
    totals: dict[str, Totals]
    outbox_id: int | None = None


class PostgresSink:
    """Writes batches of events, each event exactly once.

    `replica` is the ledger's row to count in. With `has_influx`, each batch adds a row to
    outbox_points; events that `handlers` are registered for add rows to outbox_handlers.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        id_cache: IdCache,
        replica: uuid.UUID,
        has_influx: bool,
        handlers: Handlers,
    ) -> None:
        self._pool = pool
        self._id_cache = id_cache
        self._replica = replica
        self._has_influx = has_influx
        self._handlers = handlers
        self._months: set[datetime] = set()  # those known to have partitions
        self._month = _NEVER  # start and end of the last batch's month, one of them

    async def write(self, events: list[Event], deadline: float) -> Stored:
        """Commits the events that are new, until `deadline` (event loop's clock).

        Raises RowRefused if one of them can't be stored as it is: nothing is committed then.
        Raises Unavailable if PostgreSQL can't do it now, or not in time. Whether it was committed
        after all shows when the batch is written again.
        """
        try:
            async with cut_at(self._pool, deadline) as connection:
                return await self._write(connection, events)
        except _DATA_ERRORS as error:
            raise RowRefused(str(error)) from error
        except DATABASE_ERRORS as error:
            # The caches may be stale, for example after a failover or a restore.
            self._id_cache.forget()
            self._months, self._month = set(), _NEVER
            raise to_unavailable(error) from error

    async def _write(self, connection: asyncpg.Connection, events: list[Event]) -> Stored:
        ids = await self._id_cache.resolve(connection, events)
        await self._ensure_partitions(connection, events)
        pending = [
            PendingRow(position, event, ids_of_event, *home_row(event, ids_of_event))
            for position, (event, ids_of_event) in enumerate(zip(events, ids, strict=True))
        ]
        distinct = _distinct(pending)
        duplicates = len(pending) - len(distinct)
        try:
            async with connection.transaction():
                await copy(connection, distinct)
                copied = Copied(distinct, [])
                students = await self._record(connection, copied, duplicates)
                await _enrol(connection, distinct, students)
        except asyncpg.UniqueViolationError:
            async with connection.transaction():
                copied = await copy_new(connection, distinct)
                duplicates = len(pending) - len(copied.new) - len(copied.recommitted)
                students = await self._record(connection, copied, duplicates)
                await _enrol(connection, distinct, students)
        return _stored(events, copied, students)

    async def _record(
        self, connection: asyncpg.Connection, copied: Copied, duplicates: int
    ) -> list[asyncpg.Record]:
        """Updates students and sessions, and adds the batch to ledger and outboxes.

        Returns a row per student of the batch.
        """
        new, recommitted = copied
        pairs = [(row.event, row.ids) for row in new]
        deltas = student_deltas(pairs, [(row.event, row.ids) for row in recommitted])
        if changes := session_changes(pairs):
            await connection.executemany(_UPDATE_SESSIONS, changes)
        students: list[asyncpg.Record] = await connection.fetch(
            _RECORD_BATCH,
            msgspec.json.encode(deltas).decode(),
            self._has_influx,
            self._replica,
            len(new),
            duplicates,
            min((row.event.received_at for row in (*new, *recommitted)), default=None),
        )
        if len(students) < len(deltas):
            raise asyncpg.ForeignKeyViolationError("a student of the batch has been deleted")
        if self._handlers:
            await queue_runs(connection, self._handlers, (row.event for row in new))
        return students

    async def _ensure_partitions(self, connection: asyncpg.Connection, events: list[Event]) -> None:
        """Creates the missing partitions for the months of the events."""
        times = [event.time for event in events]
        if self._month[0] <= min(times) and max(times) < self._month[1]:
            return
        months = set(map(month_of, times))
        await ensure_partitions(connection, months - self._months)
        self._months |= months
        self._month = _span(max(months))


def _span(month: datetime) -> tuple[datetime, datetime]:
    """The start of the month, and that of the next one."""
    return month, month_of(month + timedelta(days=31))


def _distinct(pending: list[PendingRow]) -> list[PendingRow]:
    if len({row.event.id.int for row in pending}) == len(pending):
        return pending
    first: dict[tuple[object, ...], PendingRow] = {}
    for row in pending:
        first.setdefault(row.key, row)
    return list(first.values())


async def _enrol(
    connection: asyncpg.Connection, pending: list[PendingRow], students: list[asyncpg.Record]
) -> None:
    """Enrols students in the class of the key that their events were posted with.

    Adds it to their `classes` in `students`, so that the class's channel gets these events too. A
    student of other teachers is only enrolled as pending: a key says which class posts, not who.
    """
    classes = {row["user_id"]: row["classes"] for row in students}
    missing = {
        (row.ids.student, class_id): enrolled
        for row in pending
        if (class_id := row.event.class_id) is not None
        and (enrolled := classes.get(row.event.student)) is not None
        and class_id not in enrolled
    }
    if missing:
        pairs = zip(*sorted(missing), strict=True)
        for row in await connection.fetch(_ENROL, *pairs):
            missing[row["student_id"], row["class_id"]].append(row["class_id"])


def _stored(events: list[Event], copied: Copied, students: list[asyncpg.Record]) -> Stored:
    totals = {
        row["user_id"]: Totals(row["executions"], row["errors"], row["classes"]) for row in students
    }
    outbox_id = students[0]["outbox_id"] if students else None
    if len(copied.new) == len(events):
        return Stored(events, [], totals, outbox_id)
    stored = [*copied.new, *copied.recommitted]
    positions = {row.position for row in stored}
    duplicates = [position for position in range(len(events)) if position not in positions]
    return Stored([row.event for row in stored], duplicates, totals, outbox_id)


_ENROL = """
    WITH enrolled AS (
        INSERT INTO student_classes (student_id, class_id, role)
        SELECT student_id, class_id, CASE WHEN is_of_others(student_id, ARRAY(
            SELECT teacher_id FROM teaching WHERE teaching.class_id = enrolment.class_id
        )) THEN 'pending' ELSE 'student' END
        FROM unnest($1::bigint[], $2::bigint[]) AS enrolment (student_id, class_id)
        WHERE EXISTS (SELECT FROM classes WHERE id = class_id)
        ON CONFLICT DO NOTHING RETURNING student_id, class_id, role
    )
    SELECT student_id, class_id FROM enrolled WHERE role = 'student'
"""

# The students are passed as JSON: an array per column takes four times as long to encode.
_RECORD_BATCH = """
    WITH deltas AS MATERIALIZED (
        SELECT * FROM json_to_recordset($1) AS delta (
            id bigint, first_at timestamptz, last_at timestamptz,
            last_event_received_at timestamptz, received_at timestamptz,
            executions bigint, errors bigint, help_at timestamptz, help_stop_at timestamptz,
            name_at timestamptz, name text, email_at timestamptz, email text,
            team_at timestamptz, team text
        )
    ),
    locked AS MATERIALIZED (  -- same lock order everywhere, to avoid deadlocks
        SELECT id FROM students WHERE id = ANY(ARRAY(SELECT id FROM deltas))
        ORDER BY id FOR NO KEY UPDATE
    ),
    batch AS (
        SELECT array_agg(id) AS student_ids,
            array_agg(first_at) AS first_times, array_agg(last_at) AS last_times
        FROM deltas HAVING count(*) > 0
    ),
    points AS (
        INSERT INTO outbox_points (student_ids, first_times, last_times)
        SELECT * FROM batch WHERE $2
        RETURNING id
    ),
    counts AS (
        INSERT INTO ledger AS l (replica, stored, duplicates) VALUES ($3, $4, $5)
        ON CONFLICT (replica) DO UPDATE SET
            stored = l.stored + EXCLUDED.stored, duplicates = l.duplicates + EXCLUDED.duplicates
    ),
    to_count AS (
        INSERT INTO outbox_counts (received_at, student_ids, first_times, last_times)
        SELECT $6, batch.* FROM batch
    )
    UPDATE students AS s SET
        executions = s.executions + d.executions,
        errors = s.errors + d.errors,
        last_event_at = GREATEST(s.last_event_at, d.last_at),
        clock_skew = CASE WHEN s.last_received_at > d.received_at
                     THEN s.clock_skew ELSE d.last_event_received_at - d.last_at END,
        last_received_at = GREATEST(s.last_received_at, d.received_at),
        help_at = GREATEST(s.help_at, d.help_at),
        help_stop_at = GREATEST(s.help_stop_at, d.help_stop_at),
        name = CASE WHEN (d.name_at, d.name) > (s.name_at, COALESCE(s.name, ''))
               THEN d.name ELSE s.name END,
        name_at = GREATEST(s.name_at, d.name_at),
        email = CASE WHEN (d.email_at, d.email) > (s.email_at, COALESCE(s.email, ''))
                THEN d.email ELSE s.email END,
        email_at = GREATEST(s.email_at, d.email_at),
        team = CASE WHEN (d.team_at, d.team) > (s.team_at, COALESCE(s.team, ''))
               THEN d.team ELSE s.team END,
        team_at = GREATEST(s.team_at, d.team_at)
    FROM deltas AS d
    JOIN locked USING (id)
    WHERE s.id = d.id
    RETURNING s.user_id, s.executions, s.errors, (SELECT id FROM points) AS outbox_id,
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
