"""What is noticed of keys and of the server's parts, and that it is said once."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import pytest

from monitor.database.pool import Database
from monitor.errors import Unavailable
from monitor.health import ComponentHealth
from monitor.notifications import key_causes, outbox
from monitor.notifications.health_causes import HealthWatch
from monitor.notifications.operators import Operators
from monitor.notifications.sending import Message
from tests.support.postgres import Address

OPERATORS = Operators(
    urls=["json://127.0.0.1/"],
    kinds=["health", "key_abuse", "quota"],
    language="ja",
    time_zone="UTC",
    quiet_hours="",
    address="",
    health_seconds=0.0,
    daily_events=1_000,
    is_open=True,
)
MESSAGE = Message("title", "body")
DOWN, WELL = ComponentHealth("down", "gone"), ComponentHealth("ok")


@pytest.fixture
async def database(pool: asyncpg.Pool, postgres: Address) -> AsyncIterator[Database]:
    await pool.execute("INSERT INTO classes (class_code, name) VALUES ('A', 'A')")
    database = Database(postgres, 2, 5.0)
    await database.open()
    yield database
    await database.close(5.0)


async def refuse(pool: asyncpg.Pool, events: int) -> None:
    await pool.execute(
        "SELECT note_refusals(1, 'ended_key', ARRAY['a'], ARRAY[$1::bigint])", events
    )


async def said(pool: asyncpg.Pool) -> list[str]:
    rows = await pool.fetch("SELECT title, body FROM notifications ORDER BY id")
    return [f"{row['title']}: {row['body']}" for row in rows]


async def test_refused_events_are_those_of_the_day(pool: asyncpg.Pool, database: Database) -> None:
    await refuse(pool, 5_000)
    await pool.execute("UPDATE class_refusals SET last_at = last_at - interval '1 day'")
    await refuse(pool, 60)
    await key_causes.look(database, OPERATORS)
    assert await said(pool) == []
    await refuse(pool, 63)
    await key_causes.look(database, OPERATORS)
    (text,) = await said(pool)
    assert "送られた123件" in text
    assert await pool.fetchval("SELECT events FROM class_refusals") == 5_123


async def test_a_cause_that_goes_on_while_there_were_enough_is_not_said_again(
    database: Database, pool: asyncpg.Pool
) -> None:
    async def new(*causes: str) -> set[str]:
        """Which are new; six minutes pass."""
        async with database.transaction() as connection:
            found = await outbox.note_capped(connection, 1, "help", causes)
            if found:
                await outbox.add(connection, 1, "help", MESSAGE)
        await pool.execute(
            """
            UPDATE notifications SET created_at = created_at - interval '6 minutes';
            UPDATE notification_causes SET last_seen_at = last_seen_at - interval '6 minutes',
                first_seen_at = first_seen_at - interval '6 minutes';
            """
        )
        return found

    assert await new("lasting", "0") == {"lasting", "0"}
    for number in range(1, 6):
        assert await new("lasting", str(number)) == {str(number)}
    for _ in range(4):  # six in the hour have been said
        assert await new("lasting", "waiting") == set()
    assert await new("lasting", "waiting") == {"waiting"}


class Watched:
    """A replica's watch, by a clock of its own (s)."""

    def __init__(self, database: Database, replica: str = "a:1", seconds: float = 0.0) -> None:
        self.now = 1_000.0
        self._database = database
        operators = msgspec.structs.replace(OPERATORS, health_seconds=seconds)
        self.watch = HealthWatch(operators, "notifications", replica, lambda: self.now)

    async def look(self, **reports: ComponentHealth) -> None:
        await self.watch.note(self._database, self.watch.lasting(reports))
        await self.watch.note_recovered(self._database)


IS_DOWN = "Cell Monitor：Redisに異常があります（停止）: gone"
IS_WELL = "Cell Monitor：Redisは復旧しました: 5分間、異常は見つかっていません。"


async def pass_minutes(pool: asyncpg.Pool, minutes: float, *watched: Watched) -> None:
    await pool.execute(
        "UPDATE notification_causes SET last_seen_at = last_seen_at - $1::interval",
        timedelta(minutes=minutes),
    )
    for each in watched:
        each.now += minutes * 60


async def test_that_a_part_works_again_is_said_once(database: Database, pool: asyncpg.Pool) -> None:
    both = Watched(database), Watched(database, "b:1")
    for each in both:
        await each.look(redis=DOWN)
        await each.look(redis=WELL)
    assert await said(pool) == [IS_DOWN]
    await pass_minutes(pool, 6, *both)
    for each in both:
        await each.look(redis=WELL)
    assert await said(pool) == [IS_DOWN, IS_WELL]


async def test_that_a_part_works_again_is_said_by_who_has_seen_it_well(
    database: Database, pool: asyncpg.Pool
) -> None:
    await Watched(database).look(redis=DOWN)
    await pass_minutes(pool, 60)  # nobody looks
    started = Watched(database, seconds=60)
    await started.look(redis=DOWN)
    await started.look(redis=WELL)
    await pass_minutes(pool, 4, started)
    await started.look(redis=WELL)
    await started.look(redis=DOWN)
    await started.look(redis=WELL)
    await pass_minutes(pool, 4, started)
    await started.look(redis=WELL)
    assert await said(pool) == [IS_DOWN]
    await pass_minutes(pool, 2, started)
    await started.look(redis=WELL)
    assert await said(pool) == [IS_DOWN, IS_WELL]


async def test_a_part_that_is_down_again_for_less_than_counts_is_not_well(
    database: Database, pool: asyncpg.Pool
) -> None:
    patient = Watched(database, seconds=600)
    await patient.look(redis=DOWN)
    await pass_minutes(pool, 10, patient)
    await patient.look(redis=DOWN)
    await patient.look(redis=WELL)
    for _ in range(8):
        await pass_minutes(pool, 2, patient)
        await patient.look(redis=DOWN)
    assert await said(pool) == [IS_DOWN]


async def test_each_replica_speaks_for_its_own_parts(
    database: Database, pool: asyncpg.Pool
) -> None:
    damaged, other = Watched(database), Watched(database, "b:1")
    await damaged.look(spool=DOWN)
    await other.look(spool=WELL)
    await pass_minutes(pool, 6, damaged, other)
    await other.look(spool=WELL)
    assert len(await said(pool)) == 1
    started = Watched(database)  # the replica of before
    await started.look(spool=WELL)
    await pass_minutes(pool, 6, started)
    await started.look(spool=WELL)
    assert "復旧しました" in (await said(pool))[-1]


async def test_what_nobody_has_seen_well_again_is_forgotten(
    database: Database, pool: asyncpg.Pool
) -> None:
    await Watched(database).look(spool=DOWN)
    for hours, kept in ((23, 1), (2, 0)):
        await pass_minutes(pool, hours * 60)
        async with database.transaction() as connection:
            await outbox.expire(connection)
        assert await pool.fetchval("SELECT count(*) FROM notification_causes") == kept
    assert len(await said(pool)) == 1


async def test_that_postgresql_is_away_and_works_again_is_said_once(
    database: Database, pool: asyncpg.Pool, postgres: Address
) -> None:
    watched = Watched(database)
    lasting = watched.watch.lasting({"postgres": DOWN})
    closed = Database(postgres, 1, 1.0)
    messages = []
    for _ in range(3):
        with pytest.raises(Unavailable):
            await watched.watch.note(closed, lasting)
        messages.append(watched.watch.message_without_database(lasting))
    assert [message is None for message in messages] == [False, True, True]
    await watched.watch.note(database, lasting)  # the report is from before
    await watched.look(postgres=WELL)
    assert await said(pool) == []
    await pass_minutes(pool, 6, watched)
    await watched.look(postgres=WELL)
    (text,) = await said(pool)
    assert text.startswith("Cell Monitor：PostgreSQLは復旧しました")


async def test_quiet_hours_of_operators_make_no_cause_new(
    database: Database, pool: asyncpg.Pool
) -> None:
    await Watched(database).look(redis=DOWN)
    await pool.execute("UPDATE notification_causes SET last_seen_at = now() - interval '4 minutes'")
    begin, end = (f"{datetime.now(UTC) + timedelta(hours=off):%H:%M}" for off in (-2, 2))
    operators = msgspec.structs.replace(OPERATORS, quiet_hours=f"{begin}-{end}")
    quiet = HealthWatch(operators, "notifications", "a:1")
    await quiet.note(database, {"redis": DOWN, "influxdb": DOWN})
    age = "SELECT now() - last_seen_at < interval '1 minute' FROM notification_causes"
    assert await pool.fetchval(age)
    assert len(await said(pool)) == 1


async def test_what_a_day_has_used_is_found_by_the_day(pool: asyncpg.Pool) -> None:
    await pool.execute(
        """
        INSERT INTO ingest_keys (class_id, name, sha256, created_by)
        SELECT NULL, 'x', n::text::bytea, 'x' FROM generate_series(1, 20) AS n;
        INSERT INTO ingest_usage
        SELECT id, current_date - day, 1 FROM ingest_keys CROSS JOIN generate_series(1, 500) AS day;
        ANALYZE ingest_usage;
        """
    )
    plan = await pool.fetch(
        "EXPLAIN SELECT events FROM ingest_usage WHERE day = (now() AT TIME ZONE 'UTC')::date"
    )
    assert "ingest_usage_day" in str(plan)
