"""What has to be done from time to time, by each replica."""

import asyncio
import logging
import time

import asyncpg

from monitor.database.partitions import PartitionMissing, create_next_partitions
from monitor.database.pool import DATABASE_ERRORS
from monitor.events.event import OLDEST
from monitor.pipeline.ledger import Ledger
from monitor.tasks import cancel_and_wait

logger = logging.getLogger(__name__)

_REPORT_EVERY = 3.0  # seconds
_EXPIRE_EVERY = 3600.0
_ABANDONED = 30.0  # seconds; as idle_in_transaction_session_timeout is


class Housekeeping:
    """Reports to the ledger, makes partitions ahead, removes what is older than is wanted.

    It also ends what keeps others from storing: sessions that nobody is at any more.
    """

    def __init__(self, pool: asyncpg.Pool, ledger: Ledger, max_rejected_days: int) -> None:
        self._pool = pool
        self._ledger = ledger
        self._max_rejected_days = max_rejected_days
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        await cancel_and_wait(self._task)

    async def _run(self) -> None:
        expired_at = -_EXPIRE_EVERY
        while True:
            try:
                await self._pool.execute(_END_ABANDONED, _ABANDONED)
                await self._ledger.report(self._pool)
                if time.monotonic() - expired_at > _EXPIRE_EVERY:
                    await self._expire()
                    expired_at = time.monotonic()
            except DATABASE_ERRORS as error:
                logger.debug("Housekeeping waits for PostgreSQL: %s", error)
            except Exception:  # the ledger must go on being told
                logger.exception("Housekeeping failed")
            await asyncio.sleep(_REPORT_EVERY)

    async def _expire(self) -> None:
        await self._create_partitions()
        await self._pool.execute(_EXPIRE_REJECTED, self._max_rejected_days)
        await self._pool.execute(_EXPIRE_RECEIPTS, OLDEST.days + 2)

    async def _create_partitions(self) -> None:
        try:
            async with self._pool.acquire() as connection:
                await create_next_partitions(connection)
        except PartitionMissing as error:  # nothing to do here: it is stored while there are some
            logger.warning("%s", error)


# Sessions whose client has been cut off, or stands still, in the middle of a COPY: they may hold
# locks, and no time-out of PostgreSQL's applies while one waits for the client's data.
_END_ABANDONED = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'cell-monitor' AND usename = current_user
        AND datname = current_database() AND state = 'active' AND wait_event = 'ClientRead'
        AND state_change < now() - make_interval(secs => $1)
"""

_EXPIRE_REJECTED = (
    "DELETE FROM rejected_events WHERE received_at < now() - make_interval(days => $1)"
)

# Whoever sends such an event again brings it as one that is too old, hence new.
_EXPIRE_RECEIPTS = (
    "DELETE FROM first_receipts WHERE received_at < now() - make_interval(days => $1)"
)
