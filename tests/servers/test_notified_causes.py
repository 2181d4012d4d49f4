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
DOWN = ComponentHealth("down", "gone")


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


async def test_that_a_part_works_again_is_said_once(database: Database, pool: asyncpg.Pool) -> None:
    watches = [HealthWatch(OPERATORS, "notifications") for _ in range(2)]
    for watch in watches:
        await watch.note(database, watch.lasting({"redis": DOWN}))
        await watch.note(database, watch.lasting({}))
        await watch.note_recovered(database)
    assert await said(pool) == ["Cell Monitor：Redisに異常があります（停止）: gone"]
    await pool.execute("UPDATE notification_causes SET last_seen_at = now() - interval '6 minutes'")
    for watch in watches:
        await watch.note_recovered(database)
    assert await said(pool) == [
        "Cell Monitor：Redisに異常があります（停止）: gone",
        "Cell Monitor：Redisは復旧しました: 5分間、異常は見つかっていません。",
    ]


async def test_that_postgresql_is_away_and_works_again_is_said_once(
    database: Database, pool: asyncpg.Pool, postgres: Address
) -> None:
    watch = HealthWatch(OPERATORS, "notifications")
    lasting = watch.lasting({"postgres": DOWN})
    closed = Database(postgres, 1, 1.0)
    messages = []
    for _ in range(3):
        with pytest.raises(Unavailable):
            await watch.note(closed, lasting)
        messages.append(watch.message_without_database(lasting))
    assert [message is None for message in messages] == [False, True, True]
    await watch.note(database, lasting)  # the report is from before
    await watch.note(database, {})
    assert await said(pool) == []
    await pool.execute("UPDATE notification_causes SET last_seen_at = now() - interval '6 minutes'")
    await watch.note_recovered(database)
    (text,) = await said(pool)
    assert text.startswith("Cell Monitor：PostgreSQLは復旧しました")


async def test_quiet_hours_of_operators_make_no_cause_new(
    database: Database, pool: asyncpg.Pool
) -> None:
    watch = HealthWatch(OPERATORS, "notifications")
    await watch.note(database, {"redis": DOWN})
    await pool.execute("UPDATE notification_causes SET last_seen_at = now() - interval '4 minutes'")
    begin, end = (f"{datetime.now(UTC) + timedelta(hours=off):%H:%M}" for off in (-2, 2))
    operators = msgspec.structs.replace(OPERATORS, quiet_hours=f"{begin}-{end}")
    quiet = HealthWatch(operators, "notifications")
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
