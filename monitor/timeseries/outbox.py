"""Transactional outbox for InfluxDB points: catches up what was committed and not written."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import chain

import asyncpg

from monitor.database.errors import DATABASE_ERRORS
from monitor.database.outbox import POINTS
from monitor.events.types import CELL_EXECUTIONS, EVENTS_TABLE, NOTEBOOK_ACCESSES
from monitor.tasks import Job
from monitor.timeseries.backfill import Spans, lines_of
from monitor.timeseries.line_protocol import key_of, point_time

_MAX_BATCHES = 100  # claimed at once
_MAX_AT_ONCE = 10  # batches whose points are in memory at once; of up to some thousand each
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEASE = 30.0  # seconds after which another replica takes over what one that died has claimed

Write = Callable[[Sequence[str]], Awaitable[None]]


class PointsOutbox:
    """The batches whose points may be missing in InfluxDB; all replicas share the work.

    Batches are claimed by lease: no transaction is open while InfluxDB works, however long it
    takes. The lease is renewed meanwhile. Batches whose points are written are marked, a few at a
    time, and not begun again.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._at_once = _MAX_AT_ONCE

    async def delete(self, ids: Sequence[int]) -> None:
        """Deletes batches whose points are written."""
        await POINTS.delete(self._pool, ids)

    async def classes_of(self, lines: Sequence[str]) -> list[int | None]:
        """The class of each point's event; None if it is in none, or not found any more."""
        keys = [key_of(line) for line in lines]
        firsts = [_EPOCH + timedelta(milliseconds=time // 1_000_000) for _, time in keys]
        rows = await self._pool.fetch(_SELECT_CLASSES, [student for student, _ in keys], firsts)
        classes = {
            (row["user_id"], point_time(row["first"], row["event_id"])): row["class_id"]
            for row in rows
        }
        return [classes.get(key) or None for key in keys]

    async def catch_up(self, write: Write, min_age: float) -> bool:
        """Writes the points of the oldest batches; false if there is none of `min_age` seconds.

        Skips batches that another replica is working on. If `write` raises, its batches stay.
        """
        batches = await self._pool.fetch(_CLAIM, _LEASE, min_age, _MAX_BATCHES)
        if not batches:
            return False
        left = [batch["id"] for batch in batches]

        async def renew() -> None:
            await self._pool.execute(_RENEW, left)

        renewing = Job(
            "Renewing the lease of points",
            renew,
            interval=_LEASE / 3,
            expected=DATABASE_ERRORS,
        )
        renewing.start()
        try:
            while left:
                part = batches[len(batches) - len(left) :][: self._at_once]
                for lines in await self._lines(part):
                    await write(lines)
                await self.delete(left[: len(part)])
                del left[: len(part)]
        finally:
            await renewing.stop()
            if left:
                with suppress(*DATABASE_ERRORS):  # then the lease ends by itself
                    await self._pool.execute(_RELEASE, left)
        return True

    async def _lines(self, batches: list[asyncpg.Record]) -> list[list[str]]:
        spans = Spans(
            list(chain.from_iterable(batch["student_ids"] for batch in batches)),
            list(chain.from_iterable(batch["first_times"] for batch in batches)),
            list(chain.from_iterable(batch["last_times"] for batch in batches)),
        )
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                lines = [lines async for lines in lines_of(connection, spans)]
        except DATABASE_ERRORS:  # a slow PostgreSQL may manage fewer
            self._at_once = max(1, self._at_once // 2)
            raise
        self._at_once = min(2 * self._at_once, _MAX_AT_ONCE)
        return lines


_SELECT_CLASSES = " UNION ALL ".join(
    f"""
    SELECT s.user_id, p.first, e.event_id, e.class_id
    FROM unnest($1::text[], $2::timestamptz[]) AS p (user_id, first)
    JOIN students AS s USING (user_id)
    JOIN {table.name} AS e ON e.student_id = s.id
        AND e.{table.key[1]} >= p.first AND e.{table.key[1]} < p.first + interval '1 millisecond'
    """  # noqa: S608 - constants
    for table in (CELL_EXECUTIONS, NOTEBOOK_ACCESSES, EVENTS_TABLE)
)

_CLAIM = """
    UPDATE outbox_points SET claimed_at = now() WHERE id = ANY (ARRAY(
        SELECT id FROM outbox_points
        WHERE claimed_at < now() - make_interval(secs => $1)
            AND created_at <= now() - make_interval(secs => $2)
        ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
    )) RETURNING *
"""

_RENEW = "UPDATE outbox_points SET claimed_at = now() WHERE id = ANY ($1::bigint[])"

_RELEASE = "UPDATE outbox_points SET claimed_at = '-infinity' WHERE id = ANY ($1::bigint[])"
