"""What is noticed of keys and of the server's parts, and that it is said once."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
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
