"""Reads: from a standby where there is one, and from the primary while it is away."""

import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import asyncpg

from monitor.database.migrations import SchemaError, check_encoding
from monitor.database.pool import Connection, Database
from monitor.errors import Busy, Unavailable
from monitor.health import StandbyHealth
from monitor.tasks import Job, describe, remaining

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_LAG = 10.0  # seconds behind the primary, after which a standby counts as away
_INTERVAL = 1.0  # seconds between two looks at the standby


class Reads:
    """Queries that change nothing. `error` is why the standby is not used, if so."""

    name = "standby"

    def __init__(
        self,
        primary: Database,
        standby: Database | None,
        catch_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._primary = primary
        self._standby = standby
        self._catch_up = catch_up
        self._positions: deque[tuple[float, int]] = deque()  # of the primary's WAL
        self._job = standby and Job(
            "Watching the standby", partial(self._look, standby), interval=_INTERVAL
        )
        self.error: str | None = "Not connected yet"
        self.lag = 0.0  # seconds

    @property
    def pool(self) -> asyncpg.Pool | None:
        """The connections to the standby; None without one, or until it is open."""
        return self._standby.pool if self._standby else None

    async def start(self) -> None:
        """Returns at once: until the standby has been seen to work, the primary is read."""
        if self._standby and self._job:
            await self._standby.open()
            self._job.start()

    async def stop(self, deadline: float) -> None:
        if self._standby and self._job:
            await self._job.stop()
            await self._standby.close(remaining(deadline))

    async def health(self) -> StandbyHealth:
        if self._standby is None:
            return StandbyHealth("off")
        return StandbyHealth("degraded" if self.error else "ok", self.error, lag=round(self.lag, 1))

    async def ensure_counted(self) -> None:
        """Ensure that the counters include everything committed so far.

        Does nothing while a standby is read, which lags behind anyway. Raises Unavailable.
        """
        if not self._standby or self.error:
            await self._catch_up()

    async def read(
        self,
        work: Callable[[Connection], Awaitable[T]],
        check: Callable[[Connection], Awaitable[None]] | None = None,
        *,
        current: bool = False,
    ) -> T:
        """What `work` returns, from one snapshot, after `check`, which raises an error to refuse.

        Without a standby, or with `current`, both have the same snapshot of the primary, in a
        read-only transaction: a caller who loses access meanwhile is shown what was there before.
        With a standby, `check` has a snapshot of the primary, taken first, and `work` one of the
        standby that is at most MAX_LAG older: who has lost access before the call is refused, and
        who is allowed is shown changes a little later. `work` is called again, for the primary,
        where the standby fails. Raises Unavailable.
        """
        if self._standby and not self.error and not current:
            if check:
                async with self._primary.snapshot() as connection:
                    await check(connection)
            try:
                async with self._standby.snapshot() as connection:
                    return await work(connection)
            except Busy:
                raise
            except Unavailable as error:
                self._lose(str(error))
            except asyncpg.PostgresError as error:  # such as a table that it doesn't have yet
                logger.warning("The standby could not answer: %s", error)
        async with self._primary.snapshot() as connection:
            if check:
                await check(connection)
            return await work(connection)

    async def _look(self, standby: Database) -> None:
        try:
            await self._measure_lag(standby)
        except (Unavailable, SchemaError, asyncpg.PostgresError) as error:
            self._lose(str(error))
        except Exception as error:  # the job logs it; an unwatched standby is not used
            self._lose(describe(error))
            raise

    async def _measure_lag(self, standby: Database) -> None:
        """Uses the standby unless it lags: cut off from the primary, it would serve old data."""
        async with standby.connection() as connection:
            await check_encoding(connection)
            replayed = await connection.fetchval(_SELECT_REPLAYED)
        now = time.monotonic()
        while self._positions and self._positions[0][1] <= replayed:
            self._positions.popleft()
        self.lag = now - self._positions[0][0] if self._positions else 0.0
        if self.lag > MAX_LAG:
            self._lose(f"The standby is {self.lag:.0f} s behind")
        elif self.error:
            self.error = None
            logger.info("Reading from the standby")
        try:
            async with self._primary.connection() as connection:
                self._positions.append((now, await connection.fetchval(_SELECT_WRITTEN)))
        except Unavailable:
            return  # only the standby is left: keep reading from it

    def _lose(self, reason: str) -> None:
        if self.error is None:
            logger.warning("Reading from the primary: %s", reason)
        self.error = reason


_SELECT_WRITTEN = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"

_SELECT_REPLAYED = """
    SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
            ELSE pg_current_wal_insert_lsn() END - '0/0')::bigint
"""
