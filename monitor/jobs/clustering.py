"""Clusters the executions of finished days, so that a student's lie together on disk.

Once a month is over, its indexes are built anew.
"""

from collections.abc import Callable

from monitor.database import indexes
from monitor.database.errors import schema_errors_as_unavailable
from monitor.database.pool import Database
from monitor.health import ComponentHealth
from monitor.tasks import Job

_STUDENTS = 5  # whose executions are moved in one transaction
_MOVE_INTERVAL = 0.25  # seconds between two moves of 12 ms (p95 25 ms): storing goes first
_TIMEOUT = 120.0  # seconds for one transaction; a student's script may have run a million cells
_INTERVAL = 60.0  # seconds between looks for a day that is over


class Clustering:
    """Keeps the executions clustered (see `sql/0001_first_version.sql`); replicas take turns.

    While `is_busy()`, storing has no time to spare, and moving waits.
    """

    name = "clustering"

    def __init__(self, database: Database, is_busy: Callable[[], bool]) -> None:
        self._database = database
        self._is_busy = is_busy
        self._job = Job("Clustering", self._run, interval=_INTERVAL)

    async def start(self) -> None:
        self._job.start()

    async def stop(self, deadline: float) -> None:
        await self._job.stop()

    async def health(self) -> ComponentHealth:
        return self._job.health()

    async def _run(self) -> float:
        moved = not self._is_busy() and (await self._move() or await self._rebuild_indexes())
        return _MOVE_INTERVAL if moved else _INTERVAL

    async def _move(self) -> bool:
        with schema_errors_as_unavailable():
            async with self._database.connection() as connection:
                return bool(await connection.fetchval(_CLUSTER, _STUDENTS, timeout=_TIMEOUT))

    async def _rebuild_indexes(self) -> bool:
        with schema_errors_as_unavailable():
            async with self._database.connection() as connection:
                return await indexes.rebuild_next(connection)


# A day late: most of what was written offline has arrived by then.
_CLUSTER = "SELECT cluster_executions(now() - interval '1 day', $1)"
