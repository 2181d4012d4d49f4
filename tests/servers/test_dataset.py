"""The benchmark's school: what a server would have kept up is consistent."""

import asyncpg
import pytest

from bench.dataset import CELLS, NOTEBOOKS, fill, weekdays
from bench.workload import STUDENTS
from tests.support.counters import counted

INDEXES = """
    SELECT relname, indexrelid::regclass::text, indisvalid, pg_get_indexdef(indexrelid)
    FROM pg_index JOIN pg_class ON oid = indrelid WHERE relname LIKE 'cell\\_executions%' ORDER BY 2
"""
# On any date 35 days are of two months at least: one is over.
DAYS_AGO, EXECUTIONS_A_DAY = 35, 800


@pytest.fixture
async def executions(pool: asyncpg.Pool) -> int:
    """How many the school's database was filled with."""
    executions = EXECUTIONS_A_DAY * len(weekdays(DAYS_AGO))
    async with pool.acquire() as connection:
        await fill(connection, executions, days_ago=DAYS_AGO)
    return executions


async def test_the_school_is_counted_as_the_server_would(
    pool: asyncpg.Pool, executions: int
) -> None:
    assert await pool.fetchval("SELECT count(*) FROM cell_executions") == executions
    assert await pool.fetchval("SELECT count(*) FROM outbox_counts") == 0
    before = await counted(pool)
    await pool.execute("SELECT recount_students(ARRAY(SELECT id FROM students))")
    for table, rows in (await counted(pool)).items():
        assert rows ^ before[table] == set(), table
    errors = await pool.fetchval("SELECT count(*) FROM cell_executions WHERE status = 'error'")
    for table in ("student_states", "cell_progress"):
        sums = await pool.fetchrow(f"SELECT sum(executions), sum(errors) FROM {table}")
        assert tuple(sums) == (executions, errors), table
    assert await pool.fetchval("SELECT sum(count) FROM cell_errors") == errors


async def test_the_school_is_clustered_as_the_server_would(
    pool: asyncpg.Pool, executions: int
) -> None:
    days = weekdays(DAYS_AGO)
    clustered = await pool.fetchrow("SELECT day, rebuilt_until FROM clustered")
    assert clustered["day"] >= days[-1]  # until yesterday began
    assert clustered["rebuilt_until"] == days[-1].date().replace(day=1)
    # Of each clustered day a student's rows follow each other.
    runs = await pool.fetch(
        """
        SELECT executed_at::date AS day, count(*) FILTER (WHERE is_next) AS runs
        FROM (
            SELECT executed_at, student_id IS DISTINCT FROM lag(student_id) OVER (
                PARTITION BY tableoid, executed_at::date ORDER BY ctid) AS is_next
            FROM cell_executions WHERE executed_at < $1
        ) AS rows GROUP BY day
        """,
        clustered["day"],
    )
    assert len(runs) == sum(day < clustered["day"] for day in days)
    assert all(run["runs"] <= 1.2 * STUDENTS for run in runs)  # some went into free space before


async def test_the_school_has_the_indexes_of_the_schema(pool: asyncpg.Pool) -> None:
    before = await pool.fetch(INDEXES)
    async with pool.acquire() as connection:
        await fill(connection, 200, days_ago=2)
    after = await pool.fetch(INDEXES)
    assert [row for row in after if row["relname"] in {row["relname"] for row in before}] == before
    assert all(row["indisvalid"] for row in after)


async def test_students_go_from_cell_to_cell(pool: asyncpg.Pool, executions: int) -> None:
    seen = await pool.fetchrow(
        """
        SELECT count(DISTINCT student_id) AS students, count(DISTINCT alias_id) AS notebooks,
            count(DISTINCT cell_index) AS cells, min(cell_id - (alias_id - 1) * $1) AS first,
            max(cell_id - (alias_id - 1) * $1) AS last,
            avg((status = 'error')::integer)
                FILTER (WHERE (student_id + cell_index) % 8 < 3)::float8 AS hard,
            count(*) FILTER (WHERE status = 'error' AND (student_id + cell_index) % 8 >= 3) AS easy
        FROM cell_executions
        """,
        CELLS,
    )
    assert (seen["students"], seen["cells"]) == (STUDENTS, CELLS)
    assert len(weekdays(DAYS_AGO)) <= seen["notebooks"] <= NOTEBOOKS
    assert (seen["first"], seen["last"]) == (1, CELLS)
    assert 0.37 < seen["hard"] < 0.43
    assert seen["easy"] == 0
    # In turn on a day: the same cell again or the next one.
    steps = await pool.fetchval(
        """
        SELECT array_agg(DISTINCT step) FROM (
            SELECT (cell_index - lag(cell_index) OVER (
                PARTITION BY student_id, executed_at::date ORDER BY executed_at) + $1) % $1 AS step
            FROM cell_executions
        ) AS steps WHERE step IS NOT NULL
        """,
        CELLS,
    )
    assert sorted(steps) == [0, 1]
