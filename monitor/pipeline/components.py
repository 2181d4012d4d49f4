"""Components around the pipeline: its spool, its PostgreSQL, and the queue in front of it."""

from datetime import UTC, datetime

import asyncpg

from monitor.database.clock import clock_warning
from monitor.database.errors import DATABASE_ERRORS
from monitor.database.migrations import Schema
from monitor.database.partitions import partition_warning
from monitor.database.pool import Database, close_pool
from monitor.errors import Unavailable
from monitor.health import (
    LedgerHealth,
    PostgresHealth,
    QueueHealth,
    SpoolHealth,
)
from monitor.pipeline.ledger import Ledger, total
from monitor.pipeline.queue import EventQueue
from monitor.pipeline.spool.drain import SpoolDrain
from monitor.pipeline.spool.entries import Spool
from monitor.pipeline.spool.segments import Damage
from monitor.tasks import describe, remaining

_HEALTH_TIMEOUT = 1.0  # seconds for PostgreSQL to answer a health check
_MAX_NAMED = 3  # damaged files in the health report
_SPOOLING_TIMEOUT = 2.0  # seconds to write what could not be stored to the spool, at the stop


class SpoolFile:
    """The open spool, closed when nothing writes to it any more."""

    name = "spool"

    def __init__(self, spool: Spool, drain: SpoolDrain) -> None:
        self._spool = spool
        self._drain = drain

    async def start(self) -> None:
        """Nothing to do: it was opened before all else, to lock DATA_DIR."""

    async def stop(self, deadline: float) -> None:
        await self._spool.close()

    async def health(self) -> SpoolHealth:
        spool, damage = self._spool, self._spool.damage
        is_used = self._drain.active or spool.events or damage.files
        return SpoolHealth(
            "down" if spool.failure else "degraded" if is_used else "ok",
            spool.failure or _damage_text(damage),
            events=spool.events,
            damaged=damage.items,
        )


def _damage_text(damage: Damage) -> str | None:
    """What is damaged of a spool, and what to do about it; None if nothing is."""
    if not damage.files:
        return None
    names = ", ".join(str(path) for path in damage.files[:_MAX_NAMED])
    if (more := len(damage.files) - _MAX_NAMED) > 0:
        names += f" and {more} more files"
    what = (
        f"{damage.items} items of the spool could not be read and are in /rejected-events"
        if damage.items
        else "A part of the spool could not be read, and nobody knows how many items it held"
    )
    return (
        f"{what}: {names}: {damage.bytes} damaged bytes. Check the disk, stop the server, and run"
        " the command `spool salvage`"
    )


class Postgres:
    """PostgreSQL's schema, and all connections: the pipeline's, the handlers' and the API's."""

    name = "postgres"

    def __init__(
        self,
        pool: asyncpg.Pool,
        handler_pool: asyncpg.Pool,
        database: Database,
        schema: Schema,
        drain: SpoolDrain,
    ) -> None:
        self._pool = pool
        self._handler_pool = handler_pool
        self._database = database
        self._schema = schema
        self._drain = drain

    async def start(self) -> None:
        """Without PostgreSQL, events go to the spool. Raises SchemaError."""
        await self._database.open()
        try:
            await self._schema.ensure()
        except Unavailable as error:
            self._drain.activate(error)

    async def stop(self, deadline: float) -> None:
        await self._database.close(remaining(deadline))
        await close_pool(self._handler_pool, remaining(deadline))
        await close_pool(self._pool, remaining(deadline))

    async def health(self) -> PostgresHealth:
        if self._drain.active:
            return PostgresHealth("down", self._drain.reason)
        try:
            async with self._pool.acquire(timeout=_HEALTH_TIMEOUT) as connection:
                warnings = [
                    await partition_warning(connection, _HEALTH_TIMEOUT),
                    await clock_warning(connection, datetime.now(UTC), _HEALTH_TIMEOUT),
                ]
        except DATABASE_ERRORS as error:
            return PostgresHealth("down", describe(error))
        return PostgresHealth("ok", warning=". ".join(filter(None, warnings)) or None)


class LedgerReport:
    """The ledger in the health report: this process's counts, and those of all replicas."""

    name = "ledger"

    def __init__(self, ledger: Ledger, pool: asyncpg.Pool, spool: Spool, drain: SpoolDrain) -> None:
        self._ledger = ledger
        self._pool = pool
        self._spool = spool
        self._drain = drain

    async def start(self) -> None:
        """Nothing to do: counting begins with the first item."""

    async def stop(self, deadline: float) -> None:
        """Nothing to do: housekeeping reports the counts to the other replicas."""

    async def health(self) -> LedgerHealth:
        own = self._ledger.counts()
        if self._drain.active:
            return LedgerHealth("degraded", self._drain.reason, process=own, total=None)
        try:
            async with self._pool.acquire(timeout=_HEALTH_TIMEOUT) as connection:
                whole = await total(connection, self._spool.replica, own, _HEALTH_TIMEOUT)
        except DATABASE_ERRORS as error:
            return LedgerHealth("degraded", describe(error), process=own, total=None)
        return LedgerHealth("ok", process=own, total=whole)


class QueueComponent:
    """The queue in front of the consumers. Stopping it leaves none of its events unanswered."""

    name = "queue"

    def __init__(self, queue: EventQueue, drain: SpoolDrain, pool: asyncpg.Pool) -> None:
        self._queue = queue
        self._drain = drain
        self._pool = pool

    async def start(self) -> None:
        """Nothing to do: the queue takes events from the first request on."""

    async def stop(self, deadline: float) -> None:
        """Takes no more, and waits until the rest is stored or, from the deadline on, spooled."""
        self._queue.closed = True
        if await self._queue.wait_drained(remaining(deadline)):
            return
        self._drain.activate(Unavailable("The server is stopping"))
        self._pool.terminate()  # what hangs fails now, and its batch goes to the spool
        await self._queue.wait_drained(_SPOOLING_TIMEOUT)

    async def health(self) -> QueueHealth:
        queue = self._queue
        is_shut = queue.closed or queue.full
        return QueueHealth("down" if is_shut else "ok", events=queue.events, bytes=queue.bytes)
