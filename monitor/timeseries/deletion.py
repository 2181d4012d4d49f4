"""Deletes the points of withdrawn events, from their outbox."""

import asyncpg

from monitor.health import ComponentHealth
from monitor.tasks import Job
from monitor.timeseries.influx import InfluxSink
from monitor.timeseries.influx_client import WRITE_ERRORS
from monitor.timeseries.line_protocol import PointKey, point_time

_INTERVAL = 5.0  # seconds between looks for work
_MAX_BACKOFF = 10.0  # seconds between attempts while InfluxDB is unavailable
_LEASE = 300.0  # seconds after which another replica takes a deletion over


class PointDeletions:
    """The background job. Deletions wait until the points of their events are surely written."""

    name = "point_deletions"

    def __init__(self, pool: asyncpg.Pool, influx: InfluxSink) -> None:
        self._pool = pool
        self._influx = influx
        self._job = Job(
            "Deleting points",
            self._run,
            interval=_INTERVAL,
            max_backoff=_MAX_BACKOFF,
            expected=WRITE_ERRORS,
        )

    async def start(self) -> None:
        self._job.start()

    async def stop(self, deadline: float) -> None:
        await self._job.stop()

    async def health(self) -> ComponentHealth:
        return self._job.health()

    async def _run(self) -> float:
        """By lease, so that no transaction is open while InfluxDB works."""
        row = await self._pool.fetchrow(_CLAIM, _LEASE)
        if row is None:
            return _INTERVAL
        try:
            await self._influx.delete(_points(row))
        except WRITE_ERRORS:
            await self._pool.execute(_RELEASE, row["id"])
            raise
        await self._pool.execute(_FINISH, row["id"])
        return 0.0


def _points(row: asyncpg.Record) -> list[PointKey]:
    events = zip(row["event_times"], row["event_ids"], row["event_types"], strict=True)
    return [
        PointKey(row["user_id"], event_type, point_time(time, event_id))
        for time, event_id, event_type in events
    ]


_CLAIM = """
    UPDATE outbox_deletions SET claimed_at = now() WHERE id = (
        SELECT id FROM outbox_deletions AS d
        WHERE claimed_at < now() - make_interval(secs => $1) AND NOT EXISTS (
            SELECT FROM outbox_points AS p
            WHERE p.id <= d.after_points AND d.student_id = ANY (p.student_ids)
        )
        ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
    ) RETURNING *
"""

_RELEASE = "UPDATE outbox_deletions SET claimed_at = '-infinity' WHERE id = $1"

# Rows that were restored meanwhile get their points again, at the next sweep of outbox_points.
# OFFSET 0 keeps each branch a look-up by the primary key, whatever the statistics say.
_FINISH = """
    WITH deleted AS (
        DELETE FROM outbox_deletions WHERE id = $1 RETURNING *
    ), restored AS (
        SELECT d.student_id, e.at
        FROM deleted AS d
        CROSS JOIN LATERAL unnest(d.event_times, d.event_ids) AS e (at, event_id)
        CROSS JOIN LATERAL (
            SELECT excluded FROM cell_executions
            WHERE (student_id, executed_at, event_id) = (d.student_id, e.at, e.event_id)
            UNION ALL
            SELECT excluded FROM notebook_accesses
            WHERE (student_id, accessed_at, event_id) = (d.student_id, e.at, e.event_id)
            UNION ALL
            SELECT excluded FROM events
            WHERE (student_id, event_time, event_id) = (d.student_id, e.at, e.event_id)
            OFFSET 0
        ) AS stored
        WHERE stored.excluded IS DISTINCT FROM 'withdrawn'
    )
    INSERT INTO outbox_points (created_at, student_ids, first_times, last_times)
    SELECT now() - interval '1 hour', ARRAY[student_id], ARRAY[min(at)], ARRAY[max(at)]
    FROM restored GROUP BY student_id
"""
