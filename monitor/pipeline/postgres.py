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
from monitor.pipeline import credential_log
from monitor.pipeline.copying import Copied, copy, copy_new, exclude_disputed
from monitor.pipeline.credential_log import CredentialLog
from monitor.pipeline.handler_runner import queue_runs
from monitor.pipeline.handlers import Handlers
from monitor.pipeline.id_cache import IdCache
from monitor.pipeline.resolving import Batch, Resolved, Resolver
from monitor.pipeline.rosters import VERSION, note_refusals
from monitor.pipeline.rows import PendingRow, home_row, session_changes, state_deltas

# Errors of the rows themselves, which would be refused again; any other may be temporary.
_DATA_ERRORS = (
    asyncpg.DataError,
    asyncpg.NotNullViolationError,
    asyncpg.ProgramLimitExceededError,
    ValueError,  # asyncpg's encoders, its own DataError among them
    OverflowError,
)
_NEVER = (datetime.max.replace(tzinfo=UTC),) * 2


class State(NamedTuple):
    """A student's totals in a class after a batch, and what events of theirs claim there."""

    executions: int
    errors: int
    name: str | None
    team: str | None


class Stored(NamedTuple):
    """A committed batch: its new events, with what each refers to.

    `duplicates` are the positions of those that were stored before; `refused` are those that their
    class did not take, by position, with the reason. `states` are by student and class.
    `outbox_id` is the row of outbox_points for the new events; None without InfluxDB.
    """

    events: list[Event]
    resolved: list[Resolved]
    duplicates: list[int]
    refused: dict[int, str]
    states: dict[tuple[int, int], State]
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
        self._resolver = Resolver(id_cache)
        self._replica = replica
        self._has_influx = has_influx
        self._handlers = handlers
        self._credential_log = CredentialLog()
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
            self._resolver.forget()
            self._credential_log.forget()
            self._months, self._month = set(), _NEVER
            raise to_unavailable(error) from error

    async def _write(self, connection: asyncpg.Connection, events: list[Event]) -> Stored:
        for is_last in (False, False, True):  # in a lesson's first minute they change all the time
            try:
                return await self._write_once(connection, events, accepts_changes=is_last)
            except _RostersChanged:
                self._resolver.outdate()
        raise AssertionError("unreachable: the last attempt accepts changes")

    async def _write_once(
        self, connection: asyncpg.Connection, events: list[Event], accepts_changes: bool
    ) -> Stored:
        batch = await self._resolver.resolve(connection, events)
        if not batch.events:
            await note_refusals(connection, batch.refusals)
            return Stored([], [], [], batch.refused, {})
        await self._ensure_partitions(connection, batch.events)
        pending = [
            PendingRow(position, event, resolved, *home_row(event, resolved))
            for position, event, resolved in zip(
                batch.positions, batch.events, batch.resolved, strict=True
            )
        ]
        distinct = _distinct(pending)
        noted = self._credential_log.unknown(distinct)
        try:
            async with connection.transaction():
                await copy(connection, distinct)
                copied = Copied(distinct, [])
                states = await self._record(connection, copied, len(pending) - len(distinct))
                _check_version(batch, states, accepts_changes)
                await credential_log.write(connection, noted)
                await note_refusals(connection, batch.refusals)
        except asyncpg.UniqueViolationError:
            async with connection.transaction():
                copied = await copy_new(connection, distinct)
                duplicates = len(pending) - len(copied.new) - len(copied.recommitted)
                states = await self._record(connection, copied, duplicates)
                _check_version(batch, states, accepts_changes)
                await credential_log.write(connection, noted)
                await note_refusals(connection, batch.refusals)
        self._credential_log.keep(noted)
        return _stored(batch, copied, states)

    async def _record(
        self, connection: asyncpg.Connection, copied: Copied, duplicates: int
    ) -> list[asyncpg.Record]:
        """Updates states and sessions, and adds the batch to ledger and outboxes.

        Returns a row per student and class of the batch.
        """
        new, recommitted = copied
        deltas = state_deltas(new, recommitted)
        if changes := session_changes(new):
            await connection.executemany(_UPDATE_SESSIONS, changes)
        await exclude_disputed(connection, new)
        states: list[asyncpg.Record] = await connection.fetch(
            _RECORD_BATCH,
            msgspec.json.encode(deltas).decode(),
            self._has_influx,
            self._replica,
            len(new),
            duplicates,
            min((row.event.received_at for row in (*new, *recommitted)), default=None),
        )
        if len(states) < len(deltas):
            raise asyncpg.ForeignKeyViolationError("a class of the batch has been deleted")
        if self._handlers:
            await queue_runs(connection, self._handlers, (row.event for row in new))
        return states

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


class _RostersChanged(Exception):
    """The classes of a batch were decided by rosters that have changed meanwhile."""


def _check_version(batch: Batch, states: list[asyncpg.Record], accepts_changes: bool) -> None:
    """Raises _RostersChanged, in the transaction that stores the batch."""
    if states and not accepts_changes and tuple(states[0]["version"]) != batch.version:
        raise _RostersChanged


def _stored(batch: Batch, copied: Copied, rows: list[asyncpg.Record]) -> Stored:
    states = {
        (row["student_id"], row["class_id"]): State(
            row["executions"], row["errors"], row["name"], row["team"]
        )
        for row in rows
    }
    outbox_id = rows[0]["outbox_id"] if rows else None
    if len(copied.new) == len(batch.events):
        return Stored(batch.events, batch.resolved, [], batch.refused, states, outbox_id)
    stored = [*copied.new, *copied.recommitted]
    positions = {row.position for row in stored}
    return Stored(
        [row.event for row in stored],
        [row.resolved for row in stored],
        [position for position in batch.positions if position not in positions],
        batch.refused,
        states,
        outbox_id,
    )


# The changes are passed as JSON: an array per column takes four times as long to encode.
_RECORD_BATCH = f"""
    WITH deltas AS MATERIALIZED (
        SELECT * FROM json_to_recordset($1) AS delta (
            student_id bigint, class_id bigint, first_at timestamptz, last_at timestamptz,
            received_at timestamptz, executions bigint, errors bigint,
            last_success_at timestamptz, error_times timestamptz[],
            alias_at timestamptz, alias_id bigint, cell_at timestamptz, cell_id bigint,
            help_at timestamptz, help_stop_at timestamptz,
            name_at timestamptz, name text, name_by text,
            email_at timestamptz, email text, email_by text,
            team_at timestamptz, team text, team_by text,
            verified_by text, verified_until timestamptz,
            least_offset bigint, greatest_offset bigint
        )
    ),
    locked AS MATERIALIZED (  -- same lock order everywhere, to avoid deadlocks
        SELECT s.student_id, s.class_id FROM student_states AS s
        WHERE (s.student_id, s.class_id) IN (SELECT d.student_id, d.class_id FROM deltas AS d)
        ORDER BY s.student_id, s.class_id FOR NO KEY UPDATE
    ),
    batch AS (
        SELECT array_agg(student_id) AS student_ids,
            array_agg(first_at) AS first_times, array_agg(last_at) AS last_times
        FROM (
            SELECT student_id, min(first_at) AS first_at, max(last_at) AS last_at
            FROM deltas GROUP BY student_id
        ) AS spans HAVING count(*) > 0
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
    UPDATE student_states AS s SET
        executions = s.executions + COALESCE(d.executions, 0),
        errors = s.errors + COALESCE(d.errors, 0),
        last_received_at = GREATEST(s.last_received_at, d.received_at),
        last_success_at = GREATEST(s.last_success_at, d.last_success_at),
        error_times = CASE
            WHEN d.error_times IS NULL AND (d.last_success_at IS NULL OR s.error_times = '{{}}')
            THEN s.error_times
            ELSE errors_since(
                GREATEST(s.last_success_at, d.last_success_at), s.error_times, d.error_times)
            END,
        alias_id = CASE WHEN s.alias_at > d.alias_at THEN s.alias_id
                   ELSE COALESCE(d.alias_id, s.alias_id) END,
        alias_at = GREATEST(s.alias_at, d.alias_at),
        cell_id = CASE WHEN s.cell_at > d.cell_at THEN s.cell_id
                  ELSE COALESCE(d.cell_id, s.cell_id) END,
        cell_at = GREATEST(s.cell_at, d.cell_at),
        help_at = GREATEST(s.help_at, d.help_at),
        help_stop_at = GREATEST(s.help_stop_at, d.help_stop_at),
        name = CASE WHEN (d.name_at, d.name) > (s.name_at, COALESCE(s.name, ''))
               THEN d.name ELSE s.name END,
        name_by = CASE WHEN (d.name_at, d.name) > (s.name_at, COALESCE(s.name, ''))
                  THEN d.name_by ELSE s.name_by END,
        name_at = GREATEST(s.name_at, d.name_at),
        email = CASE WHEN (d.email_at, d.email) > (s.email_at, COALESCE(s.email, ''))
                THEN d.email ELSE s.email END,
        email_by = CASE WHEN (d.email_at, d.email) > (s.email_at, COALESCE(s.email, ''))
                   THEN d.email_by ELSE s.email_by END,
        email_at = GREATEST(s.email_at, d.email_at),
        team = CASE WHEN (d.team_at, d.team) > (s.team_at, COALESCE(s.team, ''))
               THEN d.team ELSE s.team END,
        team_by = CASE WHEN (d.team_at, d.team) > (s.team_at, COALESCE(s.team, ''))
                  THEN d.team_by ELSE s.team_by END,
        team_at = GREATEST(s.team_at, d.team_at),
        verified_by = COALESCE(d.verified_by, s.verified_by),
        verified_until = COALESCE(d.verified_until, s.verified_until),
        least_offset = LEAST(s.least_offset, d.least_offset),
        greatest_offset = GREATEST(s.greatest_offset, d.greatest_offset)
    FROM deltas AS d
    JOIN locked USING (student_id, class_id)
    WHERE s.student_id = d.student_id AND s.class_id = d.class_id
    RETURNING s.student_id, s.class_id, s.executions, s.errors, s.name, s.team,
        (SELECT id FROM points) AS outbox_id, ARRAY[{VERSION}] AS version
"""  # noqa: S608 - constants

_UPDATE_SESSIONS = """
    UPDATE sessions SET
        last_start_time = GREATEST(last_start_time, $2),
        end_time = GREATEST(end_time, $3)
    WHERE id = $1
"""
