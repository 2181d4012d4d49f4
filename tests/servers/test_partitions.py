"""Monthly partitions: created where an event needs one, and ahead of time."""

from datetime import timedelta

import asyncpg
import pytest

from monitor.database.partitions import (
    PartitionMissing,
    create_partitions,
    ensure_partitions,
    missing_partitions,
    month_of,
    months_ahead,
    partition_warning,
)
from tests.support.factories import deadline_soon, make_event, now
from tests.support.postgres import Address
from tests.support.schema import pool_on, role_of
from tests.support.sinks import sink_on


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
