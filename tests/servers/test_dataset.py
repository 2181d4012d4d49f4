"""The benchmark's school: what a server would have kept up is consistent."""

import asyncpg

from bench.dataset import fill, weekdays
from tests.support.counters import counted


async def test_the_school_is_as_the_server_would_have_stored_it(pool: asyncpg.Pool) -> None:
    days = len(weekdays(7))
    async with pool.acquire() as connection:
        await fill(connection, 100 * days, days_ago=7)
    assert await pool.fetchval("SELECT count(*) FROM cell_executions") == 100 * days
    assert await pool.fetchval("SELECT count(*) FROM outbox_counts") == 0
    before = await counted(pool)
    await pool.execute("SELECT recount_students(ARRAY(SELECT id FROM students))")
    for table, rows in (await counted(pool)).items():
        assert rows ^ before[table] == set(), table
    assert await pool.fetchval("SELECT sum(executions) FROM student_states") == 100 * days
    assert await pool.fetchval("SELECT sum(executions) FROM cell_progress") == 100 * days
