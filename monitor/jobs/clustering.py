"""Moves each student's executions of a day together, once the day is over."""

import asyncio
import logging
from collections.abc import Callable

from monitor.database.pool import Database
from monitor.errors import Unavailable
from monitor.tasks import cancel_and_wait

logger = logging.getLogger(__name__)

_STUDENTS = 5  # whose executions are moved in one transaction
_PAUSE = 0.25  # seconds between two of them: storing goes first, as one takes 12 ms (p95 25 ms)
_TIMEOUT = 120.0  # seconds for one transaction; a student's script may have run a million cells
_PERIOD = 60.0  # seconds until the next look whether a day is over


class Clustering:
    """Keeps the executions clustered (see `sql/0001_first_version.sql`); replicas take turns.

    `busy` says whether storing has no time to spare, and moving had better wait.
    """

    def __init__(self, database: Database, busy: Callable[[], bool]) -> None:
        self._database = database
        self._busy = busy
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        await cancel_and_wait(self._task)

    async def _run(self) -> None:
        while True:
            moved = False
            try:
                moved = not self._busy() and await self._move()
            except Unavailable as error:
                logger.warning("Executions are not moved together now: %s", error)
            except Exception:  # the next ones are to be moved
                logger.exception("Executions could not be moved together")
            await asyncio.sleep(_PAUSE if moved else _PERIOD)

    async def _move(self) -> bool:
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(_CLUSTER, _STUDENTS, timeout=_TIMEOUT))


# A day late: most of what was written offline has arrived by then.
_CLUSTER = "SELECT cluster_executions(now() - interval '1 day', $1)"
