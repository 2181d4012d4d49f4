"""Counts each batch's events, so that reads need not scan them."""

import asyncio
import logging
import time
from collections.abc import Callable

import asyncpg

from monitor.database.errors import schema_errors_as_unavailable
from monitor.database.pool import Database
from monitor.errors import Unavailable
from monitor.health import ComponentHealth
from monitor.tasks import Job

logger = logging.getLogger(__name__)

_INTERVAL = 1.0  # seconds between runs while no read asks for one
_BUSY_INTERVAL = 30.0  # seconds, the same while storing is busy: counting many at once costs less
_MAX_BACKOFF = 1.0  # seconds between tries; reads wait for the next one
_BATCHES = 200  # counted in one transaction, at most
_RECOUNTS = 10  # students counted anew in one transaction, at most
_TIMEOUT = 120.0  # seconds for one transaction; after a bulk load a batch may be large
_TOO_SLOW = (asyncpg.QueryCanceledError, TimeoutError)


class _Step:
    """A statement that does up to so much of the work in one transaction.

    PostgreSQL may allow a statement only a while (statement_timeout). What takes longer is done in
    smaller parts; the smallest is bounded, so it may take `_TIMEOUT`.
    """

    def __init__(self, statement: str, most: int) -> None:
        self._statement = statement
        self._most = self._limit = most

    async def run(self, connection: asyncpg.Connection) -> bool:
        """Whether there may be more to do."""
        try:
            is_more = await self._once(connection)
        except _TOO_SLOW as error:
            if self._limit == 1:
                raise
            self._limit = max(1, self._limit // 4)
            logger.warning("Counting goes on in smaller parts: %s", error)
            return True
        self._limit = min(2 * self._limit, self._most)
        return is_more

    async def _once(self, connection: asyncpg.Connection) -> bool:
        arguments = self._statement, self._limit
        if self._limit > 1:
            return bool(await connection.fetchval(*arguments, timeout=_TIMEOUT))
        async with connection.transaction():
            await connection.execute(f"SET LOCAL statement_timeout = '{_TIMEOUT}s'")
            return bool(await connection.fetchval(*arguments, timeout=_TIMEOUT))


class Counting:
    """Keeps the counters (see `sql/0001_first_version.sql`) up to date.

    While `is_busy()`, storing has no time to spare, and counting waits longer.
    """

    name = "counting"

    def __init__(self, database: Database, is_busy: Callable[[], bool]) -> None:
        self._database = database
        self._is_busy = is_busy
        self._job = Job("Counting", self._run, interval=_INTERVAL, max_backoff=_MAX_BACKOFF)
        self._counted_at = time.monotonic()
        self._waiting: list[asyncio.Future[None]] = []
        self._connection: asyncpg.Connection | None = None  # while it counts
        self._batches = _Step(_COUNT_BATCHES, _BATCHES)
        self._recounts = _Step(_RECOUNT, _RECOUNTS)

    async def start(self) -> None:
        self._job.start()

    async def stop(self, deadline: float) -> None:
        await self._job.stop()
        _answer(self._waiting, Unavailable("The server is stopping"))

    async def health(self) -> ComponentHealth:
        return self._job.health()

    async def catch_up(self) -> None:
        """Returns when all that was committed before has been counted.

        Reads that ask at the same time share the work. Raises Unavailable.
        """
        if not self._job.running:
            raise Unavailable("The counters can't be updated now")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._job.wake()
        await waiter

    def cut_off(self) -> None:
        """Ends what is running, which is tried again: after a loss of the network nobody answers.

        By itself it would wait for `_TIMEOUT`.
        """
        if self._connection:
            self._connection.terminate()

    async def _run(self) -> None:
        is_due = not self._is_busy() or time.monotonic() >= self._counted_at + _BUSY_INTERVAL
        if not (self._waiting or is_due):
            return
        waiting, self._waiting = self._waiting, []
        try:
            await self._count()
            _answer(waiting)
        except Exception as error:
            _answer(waiting, error)
            raise
        finally:  # when it was cancelled
            _answer(waiting, Unavailable("The server is stopping"))
        self._counted_at = time.monotonic()

    async def _count(self) -> None:
        with schema_errors_as_unavailable():
            async with self._database.connection() as connection:
                self._connection = connection
                try:
                    while await self._batches.run(connection):
                        pass
                    await self._recounts.run(connection)
                finally:
                    self._connection = None


def _answer(waiting: list[asyncio.Future[None]], error: Exception | None = None) -> None:
    """Ends the waits that have not ended yet."""
    for waiter in waiting:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)


# Another replica's recount of the same students waits, and then finds none.
_RECOUNT = """
    WITH taken AS (
        DELETE FROM outbox_recounts WHERE student_id IN (
            SELECT student_id FROM outbox_recounts ORDER BY student_id LIMIT $1
            FOR UPDATE SKIP LOCKED
        ) RETURNING student_id
    ), due AS (
        SELECT array_agg(student_id) AS students FROM taken HAVING count(*) > 0
    )
    SELECT recount_students(students) FROM due
"""

_COUNT_BATCHES = "SELECT count_batches($1)"
