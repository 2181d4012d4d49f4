"""Notes of batches whose points may not be in InfluxDB yet, left in the batches' transactions."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import chain

import asyncpg

from monitor.database.pool import DATABASE_ERRORS
from monitor.timeseries.backfill import Spans, lines_of

_MOST = 500  # notes at once


class Outbox:
    """The table `outbox_points`, which all replicas work off together."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._at_once = _MOST

    async def done(self, notes: Sequence[int]) -> None:
        """Removes the notes of batches whose points are written."""
        await self._pool.execute("DELETE FROM outbox_points WHERE id = ANY($1::bigint[])", notes)

    async def catch_up(
        self, write: Callable[[Sequence[str]], Awaitable[None]], min_age: float
    ) -> bool:
        """Writes the points of the oldest notes; false when there is none of `min_age` seconds.

        A note that another replica is working off is passed over; one whose points could not be
        written stays.
        """
        try:
            worked = await self._work_off(write, min_age)
        except DATABASE_ERRORS:  # too much for a PostgreSQL that is slow, perhaps
            self._at_once = max(1, self._at_once // 2)
            raise
        self._at_once = min(2 * self._at_once, _MOST)
        return worked

    async def _work_off(
        self, write: Callable[[Sequence[str]], Awaitable[None]], min_age: float
    ) -> bool:
        async with self._pool.acquire() as connection, connection.transaction():
            notes = await connection.fetch(_CLAIM, min_age, self._at_once)
            if not notes:
                return False
            spans = Spans(
                list(chain.from_iterable(note["student_ids"] for note in notes)),
                list(chain.from_iterable(note["first_times"] for note in notes)),
                list(chain.from_iterable(note["last_times"] for note in notes)),
            )
            async for lines in lines_of(connection, spans):
                await write(lines)
            await connection.execute(
                "DELETE FROM outbox_points WHERE id = ANY($1::bigint[])",
                [note["id"] for note in notes],
            )
        return True


_CLAIM = """
    SELECT id, student_ids, first_times, last_times FROM outbox_points
    WHERE created_at <= now() - make_interval(secs => $1)
    ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
"""
