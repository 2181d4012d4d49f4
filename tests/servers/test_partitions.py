"""Monthly partitions: created where an event needs one, and ahead of time."""

import uuid
from datetime import timedelta

import asyncpg
import pytest

from monitor.database.dead_letters import DeadLetters
from monitor.database.partitions import (
    PartitionMissing,
    create_partitions,
    ensure_partitions,
    missing_partitions,
    month_of,
    months_ahead,
    partition_warning,
)
from monitor.events.event import Payload
from monitor.pipeline.store import Store
from tests.support.factories import deadline_soon, make_event, now
from tests.support.postgres import Address
from tests.support.schema import pool_on, role_of
from tests.support.sinks import retry_of, sink_on


async def test_only_the_months_of_events_get_partitions(pool: asyncpg.Pool) -> None:
    times = [now() - timedelta(days=days) for days in (300, 0, 200)]
    sink = sink_on(pool)
    before = set(await pool.fetchval(PARTITIONS))
    for time in (times[0], times[1], times[2], times[0]):
        await sink.write([make_event(time=time), make_event(time=now())], deadline_soon())
    created = set(await pool.fetchval(PARTITIONS)) - before
    assert created == {f"cell_executions_{time:%Y_%m}" for time in (times[0], times[2])}
    assert await pool.fetchval("SELECT count(*) FROM cell_executions") == 8


async def test_forbidden_partition_is_a_passing_error(
    pool: asyncpg.Pool, postgres: Address
) -> None:
    old = now() - timedelta(days=200)
    async with role_of(postgres) as writer, pool_on(writer) as writers:
        sink = sink_on(writers)
        await sink.write([make_event()], deadline_soon())
        with pytest.raises(PartitionMissing, match=f"no partition for {old:%Y-%m}.*migrate"):
            await sink.write([make_event(time=old)], deadline_soon())
        async with pool.acquire() as connection:
            await ensure_partitions(connection, [month_of(old)])
        await sink.write([make_event(time=old), make_event()], deadline_soon())
    assert await pool.fetchval("SELECT count(*) FROM cell_executions") == 3


async def test_late_events_of_a_detached_month_are_stored_and_shown_in_health(
    pool: asyncpg.Pool,
) -> None:
    old = now() - timedelta(days=40)
    name = f"cell_executions_{old:%Y_%m}"
    sink = sink_on(pool)
    before = [make_event(time=old), make_event(time=old)]
    await sink.write(before, deadline_soon())
    await pool.execute(f"ALTER TABLE cell_executions DETACH PARTITION {name}")

    store = Store(sink, DeadLetters(pool, uuid.uuid4()))
    for late in ([make_event(time=old)], [make_event(time=old), make_event()]):
        payload = Payload(late, [])
        result = await store.put([payload], deadline_soon())
        assert not result.left
        assert [receipt.stored for receipt in result.receipts if receipt] == [len(late)]
    assert await pool.fetchval(f"SELECT count(*) FROM {name}_late") == 2
    async with pool.acquire() as connection:
        assert f"{name}_late" in (await partition_warning(connection, 5.0) or "")

    await pool.execute(  # one transaction
        f"ALTER TABLE cell_executions DETACH PARTITION {name}_late;"
        f"INSERT INTO {name} SELECT * FROM {name}_late ON CONFLICT DO NOTHING;"
        f"DROP TABLE {name}_late;"
        f"ALTER TABLE cell_executions ATTACH PARTITION {name} FOR VALUES"
        f" FROM ('{month_of(old)}') TO ('{month_of(month_of(old) + timedelta(days=31))}')"
    )
    async with pool.acquire() as connection:
        assert await partition_warning(connection, 5.0) is None
    stored = await sink.write([retry_of(before[0]), make_event(time=old)], deadline_soon())
    assert stored.duplicates == [0]
    assert await pool.fetchval("SELECT count(*) FROM cell_executions") == 6


async def test_partitions_that_run_out_are_warned_of(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        assert await months_ahead(connection, 5.0) == 3
        assert await partition_warning(connection, 5.0) is None
        second = month_of(month_of(now()) + timedelta(days=62))
        await connection.execute(f"DROP TABLE events_{second:%Y_%m}")
        assert await months_ahead(connection, 5.0) == 1
        warning = await partition_warning(connection, 5.0)
        assert warning
        assert "1 more months only: run `cell-monitor migrate`" in warning
        await create_partitions(connection)
        assert await months_ahead(connection, 5.0) == 12
        assert await missing_partitions(connection) == []
        assert await partition_warning(connection, 5.0) is None


PARTITIONS = """
    SELECT array_agg(inhrelid::regclass::text) FROM pg_inherits
    WHERE inhparent = 'cell_executions'::regclass
"""
