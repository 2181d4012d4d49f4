"""The sink that is the truth: a batch of events into PostgreSQL, by COPY, in one transaction."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

import asyncpg
import msgspec

from monitor.errors import RowRefused, Unavailable
from monitor.events import Event, Rejected
from monitor.pipeline.handlers import Row, Table, activities, home_row, turns
from monitor.pipeline.references import Place, References

logger = logging.getLogger(__name__)

# The data's own fault: the same rows will never be taken. All else may pass.
_DATA_ERRORS = (
    asyncpg.DataError,
    asyncpg.NotNullViolationError,
    asyncpg.ProgramLimitExceededError,
    ValueError,  # asyncpg's encoders, its own DataError among them
    OverflowError,
)
_PASSING_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class Totals(NamedTuple):
    """A student's counters after a batch, and the ids of the classes that they are in."""

    executions: int
    errors: int
    classes: list[int]


class Stored(NamedTuple):
    """What became of a batch: new events, those stored before, the totals by student."""

    events: list[Event]
    duplicates: list[Event]
    totals: dict[str, Totals]


class Entry(msgspec.Struct, frozen=True, gc=False):
    event: Event
    place: Place
    table: Table
    row: Row

    @property
    def key(self) -> tuple[object, ...]:
        return (self.table.name, *self.row[:3])


class PostgresSink:
    """Writes batches of events, each event exactly once."""

    def __init__(self, pool: asyncpg.Pool, references: References) -> None:
        self._pool = pool
        self._references = references
        self._months: tuple[datetime, datetime] | None = None

    async def write(self, events: list[Event]) -> Stored:
        """Commits the events that are new.

        Raises RowRefused when one of them can't be stored as it is, Unavailable when PostgreSQL
        can't do it now; nothing of the batch is committed then.
        """
        try:
            async with self._pool.acquire() as connection:
                return await self._write(connection, events)
        except _DATA_ERRORS as error:
            raise RowRefused(str(error)) from error
        except _PASSING_ERRORS as error:
            # Whatever it was, what we remember of the database may no longer hold.
            self._references.forget()
            self._months = None
            raise Unavailable(f"PostgreSQL: {str(error) or type(error).__name__}") from error

    async def reject(self, source: str, rejected: list[Rejected]) -> None:
        """Commits dead letters; one that is known already is not added again.

        Raises Unavailable when PostgreSQL can't do it now.
        """
        rows = [(_digest(item), source, item.path, item.reason, item.raw) for item in rejected]
        try:
            await self._pool.executemany(_INSERT_REJECTED, rows)
        except _PASSING_ERRORS as error:
            raise Unavailable(f"PostgreSQL: {str(error) or type(error).__name__}") from error

    async def _write(self, connection: asyncpg.Connection, events: list[Event]) -> Stored:
        places = await self._references.resolve(connection, events)
        await self._cover(connection, events)
        entries = [
            Entry(event, place, *home_row(event, place))
            for event, place in zip(events, places, strict=True)
        ]
        try:
            new = _distinct(entries)
            async with connection.transaction():
                await _copy(connection, new)
                totals = await _count(connection, new)
        except asyncpg.UniqueViolationError:
            async with connection.transaction():
                new = await _copy_new(connection, new)
                totals = await _count(connection, new)
        if len(new) == len(events):
            return Stored(events, [], totals)
        stored = [entry.event for entry in new]
        ids = set(map(id, stored))
        return Stored(stored, [event for event in events if id(event) not in ids], totals)

    async def _cover(self, connection: asyncpg.Connection, events: list[Event]) -> None:
        """Sees to it that there is a partition for each of the events' months."""
        times = [event.time for event in events]
        first, last = _month(min(times)), _month(max(times))
        if self._months is not None:
            if self._months[0] <= first and last <= self._months[1]:
                return
            first, last = min(first, self._months[0]), max(last, self._months[1])
        await connection.execute("SELECT ensure_partitions($1, $2)", first, last)
        self._months = first, last


def _month(time: datetime) -> datetime:
    time = time.astimezone(UTC)
    return datetime(time.year, time.month, 1, tzinfo=UTC)


def _distinct(entries: list[Entry]) -> list[Entry]:
    if len({entry.event.id.int for entry in entries}) == len(entries):
        return entries
    first: dict[tuple[object, ...], Entry] = {}
    for entry in entries:
        first.setdefault(entry.key, entry)
    return list(first.values())


def _by_table(entries: list[Entry]) -> Iterable[tuple[Table, list[Row]]]:
    """The rows for each table, both in an order that all writers share: none waits in a circle."""
    rows: defaultdict[Table, list[Row]] = defaultdict(list)
    for entry in entries:
        rows[entry.table].append(entry.row)
    for table in sorted(rows, key=lambda table: table.name):
        yield table, sorted(rows[table])


async def _copy(connection: asyncpg.Connection, entries: list[Entry]) -> None:
    for table, rows in _by_table(entries):
        await connection.copy_records_to_table(table.name, records=rows, columns=table.columns)


async def _copy_new(connection: asyncpg.Connection, entries: list[Entry]) -> list[Entry]:
    """Copies what is not there yet, by way of a staging table: COPY knows no ON CONFLICT."""
    inserted: set[tuple[object, ...]] = set()
    for table, rows in _by_table(entries):
        staging = f"staged_{table.name}"
        await connection.execute(_CREATE_STAGING.format(staging=staging, table=table.name))
        await connection.copy_records_to_table(staging, records=rows, columns=table.columns)
        insert = _INSERT_STAGED.format(
            staging=staging,
            table=table.name,
            columns=", ".join(table.columns),
            key=", ".join(table.key),
        )
        inserted.update((table.name, *row) for row in await connection.fetch(insert))
    return [entry for entry in entries if entry.key in inserted]


async def _count(connection: asyncpg.Connection, entries: list[Entry]) -> dict[str, Totals]:
    """Adds the entries to what is kept of their students and sessions."""
    pairs = [(entry.event, entry.place) for entry in entries]
    found = activities(pairs)
    told = [(student, *activity.columns()) for student, activity in found.items()]
    rows = await connection.fetch(_UPDATE_STUDENTS, *zip(*told, strict=True)) if told else []
    if len(rows) < len(found):
        raise asyncpg.ForeignKeyViolationError("a student of the batch has been deleted")
    if changes := turns(pairs):
        await connection.executemany(_UPDATE_SESSIONS, changes)
    return {
        row["user_id"]: Totals(row["executions"], row["errors"], row["classes"]) for row in rows
    }


def _digest(item: Rejected) -> bytes:
    return hashlib.sha256(f"{item.reason}\n{item.raw}".encode()).digest()


_CREATE_STAGING = """
    CREATE TEMPORARY TABLE IF NOT EXISTS {staging} (LIKE {table}) ON COMMIT DELETE ROWS
"""

_INSERT_STAGED = """
    INSERT INTO {table} ({columns}) SELECT {columns} FROM {staging} ORDER BY {key}
    ON CONFLICT DO NOTHING RETURNING {key}
"""

_UPDATE_STUDENTS = """
    WITH locked AS MATERIALIZED (  -- in an order that all writers share: none waits in a circle
        SELECT id FROM students WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE
    ), marked AS (
        INSERT INTO uncounted (student_id, first_at, last_at)
        SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[])
    )
    UPDATE students AS s SET
        executions = s.executions + a.executions,
        errors = s.errors + a.errors,
        last_event_at = GREATEST(s.last_event_at, a.event_at),
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
    FROM unnest(
        $1::bigint[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::bigint[],
        $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::text[],
        $11::timestamptz[], $12::text[], $13::timestamptz[], $14::text[]
    ) AS a (
        id, event_at, received_at, executions, errors, help_at, help_stop_at,
        name_at, name, email_at, email, team_at, team
    )
    JOIN locked USING (id)
    WHERE s.id = a.id
    RETURNING s.user_id, s.executions, s.errors,
        ARRAY(SELECT class_id FROM student_classes AS c WHERE c.student_id = s.id) AS classes
"""

_UPDATE_SESSIONS = """
    UPDATE sessions SET
        last_start_time = GREATEST(last_start_time, $2),
        end_time = GREATEST(end_time, $3)
    WHERE id = $1
"""

_INSERT_REJECTED = """
    INSERT INTO rejected_events (digest, source, path, reason, raw)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (digest) DO NOTHING
"""
