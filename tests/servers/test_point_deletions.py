"""The outbox of points to delete. InfluxDB 2.x, which is not to be had, is checked on the wire."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg

from monitor.database.dead_letters import DeadLetters
from monitor.timeseries.deletion import PointDeletions
from monitor.timeseries.influx import InfluxSink
from monitor.timeseries.influx_client import Target
from monitor.timeseries.outbox import PointsOutbox
from tests.servers.test_influx import endpoint
from tests.support.factories import deadline_soon
from tests.support.waiting import eventually

TIME = datetime(2026, 4, 1, 9, tzinfo=UTC)
EVENTS = [uuid.UUID(int=7), uuid.UUID(int=8)]


@asynccontextmanager
async def deletions_to(url: str, pool: asyncpg.Pool) -> AsyncIterator[PointDeletions]:
    target = Target(url, "progress_bucket", "secret", "my-org")
    sink = InfluxSink(target, PointsOutbox(pool), DeadLetters(pool, uuid.uuid4()), 1000)
    deletions = PointDeletions(pool, sink)
    await deletions.start()
    try:
        yield deletions
    finally:
        await deletions.stop(deadline_soon())
        await sink.stop(deadline_soon())


async def request_deletion(pool: asyncpg.Pool, after_points: int = 0) -> None:
    await pool.execute(
        "INSERT INTO outbox_deletions"
        " (after_points, student_id, user_id, event_times, event_ids, event_types)"
        " VALUES ($1, 1, 'hanako', $2, $3, $4)",
        after_points,
        [TIME, TIME],
        EVENTS,
        ["help", "cell_executed"],
    )


async def left(pool: asyncpg.Pool) -> int:
    return int(await pool.fetchval("SELECT count(*) FROM outbox_deletions"))


async def test_a_2x_server_is_asked_for_each_point_and_again_after_an_error(
    pool: asyncpg.Pool,
) -> None:
    await request_deletion(pool)
    async with endpoint([503]) as (url, requests, bodies), deletions_to(url, pool) as deletions:
        await eventually(lambda: left(pool), lambda rows: rows == 0)
        assert (await deletions.health()).state == "ok"
    assert {request.path for request in requests} == {"/api/v2/delete"}
    assert dict(requests[-1].query) == {"org": "my-org", "bucket": "progress_bucket"}
    assert requests[-1].headers["Authorization"] == "Token secret"
    times = [json.loads(body)["start"] for body in bodies]
    assert times == [
        "2026-04-01T09:00:00.000000007Z",  # refused with 503, so it is tried again
        "2026-04-01T09:00:00.000000007Z",
        "2026-04-01T09:00:00.000000008Z",
    ]


async def test_a_deletion_waits_for_the_points_that_are_still_to_be_written(
    pool: asyncpg.Pool,
) -> None:
    insert = (
        "INSERT INTO outbox_points (student_ids, first_times, last_times)"
        " VALUES (ARRAY[$1::bigint], ARRAY[now()], ARRAY[now()]) RETURNING id"
    )
    others, own = [await pool.fetchval(insert, student) for student in (2, 1)]
    assert others < own
    await request_deletion(pool, after_points=own)
    async with endpoint([]) as (url, requests, _), deletions_to(url, pool):
        await asyncio.sleep(1)  # it looks at once
        assert requests == []
        await pool.execute("DELETE FROM outbox_points WHERE id = $1", own)
        await pool.fetchval(insert, 1)  # a later batch, which is not waited for
        await eventually(lambda: left(pool), lambda rows: rows == 0)
    assert len(requests) == 2
