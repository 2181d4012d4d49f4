"""A day's executions are moved together once it is over, and nobody notices."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from monitor.database.pool import Database
from monitor.events.event import Event
from monitor.jobs import clustering as module
from monitor.jobs.clustering import Clustering
from tests.support.factories import deadline_soon, make_event, now
from tests.support.sinks import retry_of, sink_on
from tests.support.waiting import eventually

DAY = timedelta(days=1)
STUDENTS, EACH = 25, 20
CLUSTER = "SELECT cluster_executions($1, $2)"
ALL = "SELECT e.* FROM cell_executions AS e ORDER BY student_id, executed_at, event_id"
PAGES = """
    SELECT count(DISTINCT (tableoid, (ctid::text::point)[0]))
    FROM cell_executions WHERE student_id = $1
"""
PLACE = "SELECT day, student_id FROM clustered"


def midnight() -> datetime:
    return now().replace(hour=0, minute=0, second=0, microsecond=0)


def day_of(start: datetime) -> list[Event]:
    """What all have executed on a day, each in turn, as it comes."""
    return [
        make_event(
            student=f"学生{who}",
            time=start + timedelta(minutes=number, seconds=who),
            code="x" * 400,
        )
        for number in range(EACH)
        for who in range(STUDENTS)
    ]


@pytest.fixture
async def day(pool: asyncpg.Pool) -> datetime:
    """A day that is over, from which on everything is to be moved."""
    day = midnight() - 3 * DAY
    await pool.execute("UPDATE clustered SET day = $1", day)
    return day


async def cluster(pool: asyncpg.Pool, until: datetime, most: int = 7) -> None:
    while await pool.fetchval(CLUSTER, until, most):
        pass


async def test_clustering_changes_only_where_rows_lie(pool: asyncpg.Pool, day: datetime) -> None:
    sink, events = sink_on(pool), day_of(day)
    for minute in range(EACH):
        await sink.write(events[minute * STUDENTS :][:STUDENTS], deadline_soon())
    stored = await pool.fetch(ALL)
    scattered = [await pool.fetchval(PAGES, who + 1) for who in range(STUDENTS)]
    await cluster(pool, day + DAY)
    together = [await pool.fetchval(PAGES, who + 1) for who in range(STUDENTS)]
    assert min(scattered) > 15
    assert max(together) <= 3
    assert await pool.fetch(ALL) == stored
    assert tuple(await pool.fetchrow(PLACE)) == (day + DAY, 0)


async def test_a_day_is_moved_when_it_has_ended_and_only_once(
    pool: asyncpg.Pool, day: datetime
) -> None:
    await sink_on(pool).write([*day_of(day), *day_of(day + DAY)], deadline_soon())
    await cluster(pool, day + 2 * DAY - timedelta(seconds=1))
    assert tuple(await pool.fetchrow(PLACE)) == (day + DAY, 0)
    places = "SELECT ctid, event_id FROM cell_executions WHERE executed_at < $1 ORDER BY event_id"
    moved = await pool.fetch(places, day + DAY)
    await cluster(pool, day + 2 * DAY)
    assert await pool.fetch(places, day + DAY) == moved


async def test_a_new_database_begins_with_its_first_day(pool: asyncpg.Pool) -> None:
    first, student = await pool.fetchrow(PLACE)
    assert first in (midnight(), midnight() - DAY)  # it may have been made just before midnight
    assert student == 0
    assert not await pool.fetchval(CLUSTER, datetime.now(UTC), 5)


async def test_a_retry_during_a_move_is_still_known(pool: asyncpg.Pool, day: datetime) -> None:
    events = day_of(day)
    sink = sink_on(pool)
    await sink.write(events, deadline_soon())
    async with pool.acquire() as mover:
        move = mover.transaction()
        await move.start()
        await mover.fetchval(CLUSTER, day + DAY, STUDENTS)
        fresh = make_event(time=day)
        retry = asyncio.create_task(sink.write([*map(retry_of, events), fresh], deadline_soon(30)))
        waits = """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
        """
        while not await pool.fetchval(waits):
            assert not retry.done()
            await asyncio.sleep(0.02)
        await move.commit()
    stored = await retry
    assert stored.events == [fresh]
    assert await pool.fetchval("SELECT count(*) FROM cell_executions") == len(events) + 1


async def test_no_question_misses_an_execution_or_sees_it_twice(
    pool: asyncpg.Pool, day: datetime
) -> None:
    await sink_on(pool).write(day_of(day), deadline_soon())
    moving = asyncio.create_task(cluster(pool, day + DAY, 1))
    asked = 0
    while not moving.done():
        ids = await pool.fetch("SELECT event_id FROM cell_executions")
        assert len(ids) == len(set(ids)) == STUDENTS * EACH
        asked += 1
    await moving
    assert asked > 5


async def test_what_is_not_counted_yet_is_counted_once_moved(
    pool: asyncpg.Pool, day: datetime
) -> None:
    await sink_on(pool).write(day_of(day), deadline_soon())
    await cluster(pool, day + DAY)
    while await pool.fetchval("SELECT count_batches(10)"):
        pass
    assert await pool.fetchval("SELECT sum(executions) FROM cell_progress") == STUDENTS * EACH


async def test_replicas_take_turns(pool: asyncpg.Pool, day: datetime) -> None:
    await sink_on(pool).write(day_of(day), deadline_soon())
    async with pool.acquire() as one, one.transaction():
        assert await one.fetchval(CLUSTER, day + DAY, 5)
        assert not await pool.fetchval(CLUSTER, day + DAY, 5)
    assert await pool.fetchval(CLUSTER, day + DAY, 5)
    assert tuple(await pool.fetchrow(PLACE)) == (day, 10)


async def test_clustering_waits_while_busy_and_retries_failures(
    pool: asyncpg.Pool, database: Database, day: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOVE_INTERVAL", 0.01)
    monkeypatch.setattr(module, "_INTERVAL", 0.01)
    await sink_on(pool).write(day_of(day), deadline_soon())
    busy = True
    clustering = Clustering(database, lambda: busy)
    await clustering.start()
    await asyncio.sleep(0.2)
    assert tuple(await pool.fetchrow(PLACE)) == (day, 0)
    await pool.execute("ALTER TABLE clustered RENAME TO away")
    busy = False
    await asyncio.sleep(0.2)
    await pool.execute("ALTER TABLE away RENAME TO clustered")
    await eventually(
        lambda: pool.fetchval("SELECT day FROM clustered"), lambda day: day >= midnight() - DAY
    )
    await clustering.stop(0)
    assert await pool.fetchval("SELECT day FROM clustered") == midnight() - DAY
    assert await pool.fetchval(PAGES, 1) <= 3
