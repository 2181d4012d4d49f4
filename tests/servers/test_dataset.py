"""The benchmark's school: what a server would have kept up is consistent."""

import asyncpg

from bench.dataset import fill, weekdays


async def test_the_school_is_as_the_server_would_have_stored_it(pool: asyncpg.Pool) -> None:
    days = len(weekdays(7))
    async with pool.acquire() as connection:
        await fill(connection, 100 * days, days_ago=7)
    for counted in (
        "count(*) FROM cell_executions",
        "sum(executions) FROM students",
        "sum(executions) FROM cell_progress",
    ):
        assert await pool.fetchval(f"SELECT {counted}") == 100 * days, counted
    for failed in (
        "count(*) FROM cell_executions WHERE status = 'error'",
        "sum(errors) FROM students",
        "sum(count) FROM cell_errors",
    ):
        assert await pool.fetchval(f"SELECT {failed}") == await pool.fetchval(
            "SELECT sum(errors) FROM cell_progress"
        ), failed
    assert await pool.fetchval("SELECT count(*) FROM outbox_counts") == 0
