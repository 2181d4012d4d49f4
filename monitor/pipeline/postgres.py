"""The primary sink: a batch of events into PostgreSQL, by COPY, in one transaction."""

import logging
import uuid
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import asyncpg

from monitor.database.errors import DATABASE_ERRORS, to_unavailable
from monitor.database.partitions import ensure_partitions, month_of
from monitor.database.pool import check_stores, cut_at
from monitor.errors import RowRefused, Unavailable
from monitor.events.event import Event
from monitor.pipeline import credential_log
from monitor.pipeline.copying import Copied, copy, exclude_disputed, insert_new
from monitor.pipeline.credential_log import CredentialLog
from monitor.pipeline.generation import Generation, IdsOutdated
from monitor.pipeline.handler_runner import queue_runs
from monitor.pipeline.handlers import Handlers
from monitor.pipeline.id_cache import IdCache
from monitor.pipeline.record_batch import record_batch
from monitor.pipeline.resolving import Batch, Resolved, Resolver
from monitor.pipeline.rosters import note_refusals
from monitor.pipeline.rows import (
    PendingRow,
    encode,
    pending_row,
    session_changes,
    state_deltas,
)

logger = logging.getLogger(__name__)

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
        self._generation = Generation()
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
        except asyncpg.BadCopyFileFormatError as error:  # half of a COPY: no event's fault
            raise to_unavailable(error) from error
        except _DATA_ERRORS as error:
            raise RowRefused(str(error)) from error
        except DATABASE_ERRORS as error:
            # The caches may be stale, for example after a failover or a restore.
            self._forget()
            raise to_unavailable(error) from error
        except IdsOutdated as error:
            raise Unavailable("PostgreSQL: the database went back in time, repeatedly") from error

    def _forget(self) -> None:
        """Drops what is in memory; batches that are being stored keep their generation."""
        self._generation = Generation()
        self._resolver.forget()
        self._credential_log.forget()
        self._months, self._month = set(), _NEVER

    async def check(self) -> None:
        """Raises Unavailable if PostgreSQL can store nothing now, whatever it is given."""
        try:
            await check_stores(self._pool)
        except DATABASE_ERRORS as error:
            raise to_unavailable(error) from error

    async def _write(self, connection: asyncpg.Connection, events: list[Event]) -> Stored:
        for is_last in (False, False, True):  # in a lesson's first minute they change all the time
            try:
                return await self._write_once(connection, events, accepts_changes=is_last)
            except _RostersChanged:
                self._resolver.outdate()
            except IdsOutdated:
                logger.warning("The database went back in time: cached ids are looked up again")
                self._forget()
                if is_last:
                    raise
        raise AssertionError("unreachable: the last attempt accepts changes")

    async def _write_once(
        self, connection: asyncpg.Connection, events: list[Event], accepts_changes: bool
    ) -> Stored:
        generation = self._generation
        try:
            return await self._store(connection, events, generation, accepts_changes)
        except _DATA_ERRORS:
            if not connection.is_closed():
                await generation.count(connection, self._replica)
            raise

    async def _store(
        self,
        connection: asyncpg.Connection,
        events: list[Event],
        generation: Generation,
        accepts_changes: bool,
    ) -> Stored:
        batch = await self._resolver.resolve(connection, events)
        if not batch.events:
            await generation.count(connection, self._replica)
            await note_refusals(connection, batch.refusals)
            return Stored([], [], [], batch.refused, {})
        await self._ensure_partitions(connection, batch.events)
        pending = list(map(pending_row, batch.positions, batch.events, batch.resolved))
        distinct = _distinct(pending)
        noted = self._credential_log.unknown(distinct)
        try:
            async with connection.transaction():
                await note_refusals(connection, batch.refusals)  # classes before states
                await copy(connection, distinct)
                copied = Copied(distinct, [])
                states = await self._record(
                    connection, copied, len(pending) - len(distinct), generation
                )
                _check_version(batch, states, accepts_changes)
                await credential_log.write(connection, noted)
        except asyncpg.UniqueViolationError:
            async with connection.transaction():
                await note_refusals(connection, batch.refusals)
                copied = await insert_new(connection, distinct)
                duplicates = len(pending) - len(copied.new) - len(copied.recommitted)
                states = await self._record(connection, copied, duplicates, generation)
                _check_version(batch, states, accepts_changes)
                await credential_log.write(connection, noted)
        generation.committed += 1
        self._credential_log.keep(noted)
        return _stored(batch, copied, states)

    async def _record(
        self,
        connection: asyncpg.Connection,
        copied: Copied,
        duplicates: int,
        generation: Generation,
    ) -> list[asyncpg.Record]:
        """Updates states and sessions, and adds the batch to ledger and outboxes.

        Returns a row per student and class of the batch. Raises IdsOutdated.
        """
        new, recommitted = copied
        committed = generation.committed  # later ones may not be in the statement's snapshot
        deltas = state_deltas(new, recommitted)
        changed = encode(deltas)
        if changes := session_changes(new):
            await connection.executemany(_UPDATE_SESSIONS, changes)
        await exclude_disputed(connection, new)
        states: list[asyncpg.Record] = await connection.fetch(
            record_batch(changed),
            changed,
            self._has_influx,
            self._replica,
            len(new),
            duplicates,
            min((row.event.received_at for row in (*new, *recommitted)), default=None),
            generation.id,
        )
        if not states:
            await generation.check(connection, self._replica)
        elif (states[0]["batches"] or 0) < committed:
            raise IdsOutdated
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
    if not states or accepts_changes:
        return
    if (states[0]["changes"], states[0]["sum_of_changes"]) != batch.version:
        raise _RostersChanged


def _stored(batch: Batch, copied: Copied, rows: list[asyncpg.Record]) -> Stored:
    states = {
        (row["student_id"], row["class_id"]): State(*row[2:6])
        for row in rows  # named: 1 µs longer
    }
    outbox_id = rows[0]["outbox_id"] if rows else None
    if len(copied.new) == len(batch.events):
        return Stored(
            events=batch.events,
            resolved=batch.resolved,
            duplicates=[],
            refused=batch.refused,
            states=states,
            outbox_id=outbox_id,
        )
    stored = [*copied.new, *copied.recommitted]
    positions = {row.position for row in stored}
    return Stored(
        events=[row.event for row in stored],
        resolved=[row.resolved for row in stored],
        duplicates=[position for position in batch.positions if position not in positions],
        refused=batch.refused,
        states=states,
        outbox_id=outbox_id,
    )


_UPDATE_SESSIONS = """
    UPDATE sessions SET
        last_start_time = GREATEST(last_start_time, $2),
        end_time = GREATEST(end_time, $3)
    WHERE id = $1
"""
