"""Transactional outbox for InfluxDB points: catches up what was committed and not written."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import chain

import asyncpg

from monitor.database.outbox import POINTS
from monitor.database.pool import DATABASE_ERRORS
from monitor.timeseries.backfill import Spans, lines_of

_MAX_BATCHES = 500  # rows of the outbox in one transaction

Write = Callable[[Sequence[str]], Awaitable[None]]


class PointsOutbox:
    """The batches whose points may be missing in InfluxDB; all replicas share the work."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._limit = _MAX_BATCHES

    async def delete(self, ids: Sequence[int]) -> None:
        """Deletes batches whose points are written."""
        await POINTS.delete(self._pool, ids)

    async def catch_up(self, write: Write, min_age: float) -> bool:
        """Writes the points of the oldest batches; false if there is none of `min_age` seconds.

        Skips batches that another replica is working on. If `write` raises, its batches stay.
        """
        try:
            worked = await self._work(write, min_age)
        except DATABASE_ERRORS:  # a slow PostgreSQL may manage fewer
            self._limit = max(1, self._limit // 2)
            raise
        self._limit = min(2 * self._limit, _MAX_BATCHES)
        return worked

    async def _work(self, write: Write, min_age: float) -> bool:
        async with (
            self._pool.acquire() as connection,
            POINTS.claim(connection, _OLD_ENOUGH, min_age, limit=self._limit) as batches,
        ):
            if not batches:
                return False
            spans = Spans(
                list(chain.from_iterable(batch["student_ids"] for batch in batches)),
                list(chain.from_iterable(batch["first_times"] for batch in batches)),
                list(chain.from_iterable(batch["last_times"] for batch in batches)),
            )
            async for lines in lines_of(connection, spans):
                await write(lines)
        return True


_OLD_ENOUGH = "created_at <= now() - make_interval(secs => $2)"
