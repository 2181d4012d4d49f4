"""Periodic maintenance of PostgreSQL, by each replica."""

import logging
import time

import asyncpg

from monitor.auth import logins
from monitor.database.errors import DATABASE_ERRORS, to_unavailable
from monitor.database.partitions import PartitionMissing, create_next_partitions
from monitor.events.event import OLDEST
from monitor.health import ComponentHealth
from monitor.lms import joining, refusals
from monitor.pipeline.ledger import Ledger
from monitor.tasks import Job

logger = logging.getLogger(__name__)

_INTERVAL = 3.0  # seconds between reports to the ledger
_EXPIRE_INTERVAL = 3600.0  # seconds
_ABANDONED_AFTER = 30.0  # seconds; as idle_in_transaction_session_timeout is


class Housekeeping:
    """Reports to the ledger, creates partitions ahead, deletes expired rows.

    It also ends abandoned sessions, whose locks would keep others from storing.
    `max_rejected_days` is how long dead letters are kept.
    """

    name = "housekeeping"

    def __init__(self, pool: asyncpg.Pool, ledger: Ledger, max_rejected_days: int) -> None:
        self._pool = pool
        self._ledger = ledger
        self._max_rejected_days = max_rejected_days
        self._expired_at = -_EXPIRE_INTERVAL
        self._job = Job("Housekeeping", self._run, interval=_INTERVAL)

    async def start(self) -> None:
        self._job.start()

    async def stop(self, deadline: float) -> None:
        await self._job.stop()

    async def health(self) -> ComponentHealth:
        return self._job.health()

    async def _run(self) -> None:
        try:
            await self._maintain()
        except DATABASE_ERRORS as error:
            raise to_unavailable(error) from error

    async def _maintain(self) -> None:
        await self._pool.execute(_END_ABANDONED, _ABANDONED_AFTER)
        await self._ledger.report(self._pool)
        await self._pool.execute(_FORGET_ROSTER_CHANGES)
        if time.monotonic() - self._expired_at > _EXPIRE_INTERVAL:
            await self._expire()
            self._expired_at = time.monotonic()

    async def _expire(self) -> None:
        await self._create_partitions()
        await self._pool.execute(_EXPIRE_REJECTED, self._max_rejected_days)
        await self._pool.execute(_EXPIRE_RECEIPTS, OLDEST.days + 2)
        async with self._pool.acquire() as connection, connection.transaction():
            await joining.expire(connection)
            await refusals.expire(connection)
            await logins.expire(connection)

    async def _create_partitions(self) -> None:
        try:
            async with self._pool.acquire() as connection:
                await create_next_partitions(connection)
        except PartitionMissing as error:  # the remaining partitions still take events
            logger.warning("%s", error)


# Sessions whose client vanished or hangs in the middle of a COPY: they may hold locks, and none of
# PostgreSQL's time-outs applies while it waits for the client's data.
_END_ABANDONED = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'cell-monitor' AND usename = current_user
        AND datname = current_database() AND state = 'active' AND wait_event = 'ClientRead'
        AND state_change < now() - make_interval(secs => $1)
"""

# Any change of the table makes servers look rosters up again.
_FORGET_ROSTER_CHANGES = """
    DELETE FROM roster_changes WHERE changed_at < now() - interval '10 minutes'
"""

# What was withdrawn can be replayed until somebody discards it.
_EXPIRE_REJECTED = """
    DELETE FROM rejected_events
    WHERE received_at < now() - make_interval(days => $1) AND source <> 'withdrawn'
"""

# After this long a retry is older than OLDEST and gets a new time anyway: its receipt is useless.
_EXPIRE_RECEIPTS = (
    "DELETE FROM first_receipts WHERE received_at < now() - make_interval(days => $1)"
)
