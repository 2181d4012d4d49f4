"""A database that was dumped and restored goes on where it was."""

import asyncpg

from monitor.database.migrations import Schema
from monitor.database.pool import close_pool, open_pool
from tests.support.counters import ACTIVITY, CELLS, rows_of
from tests.support.factories import deadline_soon, make_event, now
from tests.support.postgres import Address, psql, run_client, temporary_database
from tests.support.sinks import sink_on


async def test_a_dump_may_be_taken_while_batches_wait_to_be_counted(
    pool: asyncpg.Pool, postgres_server: Address, postgres: Address
) -> None:
    time = now()
    await sink_on(pool).write(
        [make_event(time=time), make_event(time=time, type="cell_error")], deadline_soon()
    )
    await pool.execute("SELECT count_batches(10)")
    await sink_on(pool).write(
        [make_event(time=time), make_event(time=time, type="help")], deadline_soon()
    )
    dump = await run_client("pg_dump", postgres)
    async with temporary_database(postgres_server) as address:
        await psql(address, stdin=dump)
        restored = await open_pool(address, 5, 5.0)
        await Schema(restored).ensure()
        for each in (pool, restored):
            await sink_on(each).write([make_event(time=time)], deadline_soon())
            await each.execute("SELECT count_batches(10)")
        for query in (CELLS, ACTIVITY):
            assert await rows_of(restored, query) == await rows_of(pool, query)
        assert {row[2:4] for row in await rows_of(restored, CELLS)} == {(4, 1)}
        await close_pool(restored, 5.0)
