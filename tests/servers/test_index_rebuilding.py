"""Once a month is over, its indexes give back the room that clustering its days has left."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from monitor.database import indexes
from monitor.database.partitions import month_of
from monitor.database.pool import Database
from monitor.jobs import clustering as module
from monitor.jobs.clustering import Clustering
from tests.support.factories import deadline_soon, make_event, now
from tests.support.postgres import Address
from tests.support.sinks import sink_on
from tests.support.waiting import eventually

DAY = timedelta(days=1)
STUDENTS, EACH = 20, 200
REBUILT = "SELECT rebuilt_until FROM clustered"
UNFINISHED = "SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid = $1::text::regclass"


def this_month() -> datetime:
    return month_of(now())


def last_month() -> datetime:
    return month_of(this_month() - DAY)


def partition(month: datetime) -> str:
    return f"cell_executions_{month:%Y_%m}"


async def index_size(pool: asyncpg.Pool, month: datetime) -> int:
    return int(await pool.fetchval("SELECT pg_indexes_size($1::text::regclass)", partition(month)))


async def index_files(pool: asyncpg.Pool, month: datetime) -> list[asyncpg.Record]:
    """What the indexes are stored in: other files after they were rebuilt."""
    query = (
        "SELECT pg_relation_filenode(indexrelid) FROM pg_index WHERE indrelid = $1::text::regclass"
    )
    return list(await pool.fetch(f"{query} ORDER BY indexrelid", partition(month)))


async def fill(pool: asyncpg.Pool, start: datetime) -> None:
    """A day of all students in turn, moved twice: its index has room for all that were moved."""
    events = [
        make_event(
            student=f"学生{who}", time=start + timedelta(minutes=number, seconds=who), code="x"
        )
        for number in range(EACH)
        for who in range(STUDENTS)
    ]
    await sink_on(pool).write(events, deadline_soon())
    for _ in range(2):
        await pool.execute("UPDATE clustered SET day = $1, student_id = 0", start)
        while await pool.fetchval("SELECT cluster_executions($1, 7)", start + DAY):
            pass
    await pool.execute(f"VACUUM {partition(start)}")


@pytest.fixture
async def filled(pool: asyncpg.Pool) -> asyncpg.Pool:
    """Last month is over and clustered, this one is neither."""
    await fill(pool, last_month() + 3 * DAY)
    await fill(pool, this_month())
    await pool.execute("UPDATE clustered SET day = $1", this_month())
    return pool


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOVE_INTERVAL", 0.01)
    monkeypatch.setattr(module, "_INTERVAL", 0.01)


async def test_a_month_that_is_over_gives_room_back(
    filled: asyncpg.Pool, database: Database, quick: None
) -> None:
    query = "SELECT e.* FROM cell_executions AS e ORDER BY student_id, executed_at, event_id"
    stored = await filled.fetch(query)
    size, files = await index_size(filled, last_month()), await index_files(filled, this_month())
    clustering = Clustering(database, lambda: False)
    await clustering.start()
    end = this_month().date()
    await eventually(lambda: filled.fetchval(REBUILT), lambda until: until == end)
    assert (await clustering.health()).state == "ok"
    await clustering.stop(0)
    assert await index_size(filled, last_month()) < 0.75 * size
    assert await filled.fetch(query) == stored
    assert await index_files(filled, this_month()) == files


async def test_each_month_is_rebuilt_once(filled: asyncpg.Pool) -> None:
    async with filled.acquire() as connection:
        assert await indexes.rebuild_next(connection)
        assert await connection.fetchval(REBUILT) == this_month().date()
        assert not await indexes.rebuild_next(connection)
        assert await connection.fetchval("SHOW max_parallel_maintenance_workers") == "2"


async def test_replicas_take_turns(filled: asyncpg.Pool) -> None:
    async with filled.acquire() as one, filled.acquire() as other:
        await one.execute(indexes._LOCK)
        assert not await indexes.rebuild_next(other)
        await one.execute(indexes._UNLOCK)
        assert await indexes.rebuild_next(other)


async def test_a_rebuild_that_was_ended_is_begun_again(filled: asyncpg.Pool) -> None:
    """It waits for a transaction that is older, and leaves an index that nobody uses."""
    async with filled.acquire() as older, older.transaction(isolation="repeatable_read"):
        await older.fetchval(f"SELECT count(*) FROM {partition(last_month())}")
        async with filled.acquire() as connection:
            rebuilding = asyncio.create_task(indexes.rebuild_next(connection))
            await eventually(
                lambda: filled.fetchval(UNFINISHED, partition(last_month())), lambda count: count
            )
            connection.terminate()
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                await rebuilding
    async with filled.acquire() as connection:
        await eventually(lambda: indexes.rebuild_next(connection), bool)
    # Also none of a TOAST table, which this user could not remove.
    assert await filled.fetchval("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


async def test_an_administrator_who_rebuilds_is_left_alone(
    filled: asyncpg.Pool, postgres: Address
) -> None:
    async with filled.acquire() as older, older.transaction(isolation="repeatable_read"):
        await older.fetchval(f"SELECT count(*) FROM {partition(last_month())}")
        administrator = await asyncpg.connect(**postgres)
        rebuilding = asyncio.create_task(
            administrator.execute(f"REINDEX TABLE CONCURRENTLY {partition(last_month())}")
        )
        await eventually(
            lambda: filled.fetchval(UNFINISHED, partition(last_month())), lambda count: count
        )
        async with filled.acquire() as connection:
            assert not await indexes.rebuild_next(connection)
    await rebuilding
    await administrator.close()
    async with filled.acquire() as connection:
        assert await indexes.rebuild_next(connection)


async def test_who_does_not_own_the_months_leaves_them(
    filled: asyncpg.Pool, postgres: Address
) -> None:
    name = f"guest_{postgres['database']}"
    await filled.execute(f"CREATE ROLE {name}")
    try:
        await filled.execute(f"GRANT SELECT, UPDATE ON clustered TO {name}")
        async with filled.acquire() as connection:
            await connection.execute(f"SET ROLE {name}")
            assert not await indexes.rebuild_next(connection)
            await connection.execute("RESET ROLE")
            assert await connection.fetchval(REBUILT) < datetime.now(UTC).date() - 365 * DAY
    finally:
        await filled.execute(f"DROP OWNED BY {name}")
        await filled.execute(f"DROP ROLE {name}")
