"""Views of a class take milliseconds, whatever the statistics of the tables say."""

import gc
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest

from monitor.components import GARBAGE
from monitor.database.paging import Page
from monitor.database.pool import Connection, Database
from monitor.insight.activity import ActivityQuery, class_activity
from monitor.insight.analysis import assignment_analysis
from monitor.insight.attempts import AttemptsQuery, cell_attempts
from monitor.insight.cells import CellsQuery, notebook_progress
from monitor.insight.class_replay import class_state_at
from monitor.insight.class_state import ClassStateQuery, class_state
from monitor.insight.heatmap import StudentCellsQuery, student_cells
from monitor.insight.help_queue import HelpQuery, help_queue
from monitor.insight.me import me, my_assignments
from monitor.insight.overview import OverviewQuery, overview
from monitor.insight.progress import assignment_students
from monitor.insight.radar import RadarQuery, error_radar
from monitor.insight.run_changes import run_changes
from monitor.insight.timeline import TimelineQuery, executions
from tests.support.factories import now
from tests.support.lessons import fill_class, run_notebook
from tests.support.postgres import Address

LIMIT = 5.0  # seconds for a first look, traced, on a busy machine; by statistics it took 6
WORK = 60  # rows read for each row that a student has in a cell, in all nodes of a plan together

PLACE = """
    SELECT CASE WHEN count(*) < 3 THEN 'id:' || (SELECT min(cell_id) FROM cells) ELSE 'index:1' END
    FROM students
"""


async def attempts(connection: Connection, **wanted: Any) -> Any:
    query = AttemptsQuery(place=await connection.fetchval(PLACE), **wanted)
    return await cell_attempts(connection, [1, 0], 1, query)


VIEWS: dict[str, Callable[[Connection], Awaitable[Any]]] = {
    "now": lambda connection: class_state(connection, [1, 0], ClassStateQuery()),
    "then": lambda connection: class_state_at(connection, [1, 0], now(), ClassStateQuery()),
    "help": lambda connection: help_queue(connection, [1, 0], HelpQuery()),
    "cells": lambda connection: notebook_progress(connection, [1, 0], 1, CellsQuery()),
    "students": lambda connection: student_cells(connection, [1, 0], 1, StudentCellsQuery()),
    "errors": lambda connection: error_radar(connection, [1, 0], RadarQuery()),
    "activity": lambda connection: class_activity(connection, [1, 0], ActivityQuery()),
    "overview": lambda connection: overview(connection, None, OverviewQuery(), is_open=True),
    "timeline": lambda connection: executions(connection, [1], 1, TimelineQuery(), is_open=True),
    "attempts": attempts,
    "attempts with an error": partial(attempts, error="KeyError: …"),
    "progress": lambda connection: assignment_students(connection, 1, is_open=True),
    "analysis": lambda connection: assignment_analysis(connection, 1, is_open=True),
    "changes": lambda connection: run_changes(connection, [1], 1, TimelineQuery(), is_open=True),
    "me": lambda connection: me(connection, "s1"),
    "my assignments": lambda connection: my_assignments(connection, "s1", Page()),
}
TABLES = (
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
)
ASSIGN = "INSERT INTO class_assignments (class_id, notebook_id, title) VALUES (1, 1, 'x')"
SETTLE = """
    INSERT INTO help_requests (student_id, class_id, began_at, heard_at, resolved_by, resolved_at)
    SELECT student_id, 1, event_time, event_time, 'Sato', event_time + interval '1 ms' FROM events
    WHERE event_type = 'help' AND student_id % 2 = 0
"""
# 10,000 older events of the student, and half of the latest ones with a wrong clock ($1).
LONG_HISTORY = """
    WITH wrong AS (
        UPDATE cell_executions SET clock_offset = extract(epoch FROM $1::interval) * 1000000,
            executed_at = executed_at - $1
        WHERE cell_index % 2 = 0
    )
    INSERT INTO cell_executions (
        student_id, executed_at, event_id, received_at, event_type, cell_id, status, code, metadata,
        class_id, verified, clock_offset)
    SELECT 1, at, gen_random_uuid(), at, 'cell_executed', 1 + n % 60, 'success', 'x', '{}', 1,
        false, 0
    FROM generate_series(100, 10100) AS n CROSS JOIN LATERAL (
        SELECT now() - n * interval '20 minutes' AS at
    ) AS spread
"""
# A prepared statement keeps its plan, so that of a nearly empty table may be used for a full one.
USED_BEFORE = 7  # calls, after five of which PostgreSQL takes a plan that it keeps


@pytest.fixture(autouse=True)
def garbage_is_collected_as_in_the_server() -> Iterator[None]:
    """Not every 700 objects, through all that the tests have loaded."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*GARBAGE)
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


class Recorder:
    """A connection that keeps what is asked through it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)

        async def call(query: str, *arguments: Any) -> Any:
            self.asked.append((query, arguments))
            return await method(query, *arguments)

        return call


@asynccontextmanager
async def filled(
    pool: asyncpg.Pool, postgres: Address, statistics: str, students: int
) -> AsyncIterator[Database]:
    for table in [row["relname"] for row in await pool.fetch(TABLES)]:
        await pool.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    database = Database(postgres, 1, 15.0)
    await database.open()
    if statistics == "when nearly empty":
        await fill_class(pool, 1, 2)
        await pool.execute(ASSIGN)
        await pool.execute("ANALYZE")
        for _ in range(USED_BEFORE):
            for view in VIEWS.values():
                async with database.snapshot() as connection:
                    await view(connection)
        await pool.execute(
            """WITH students AS (
                   INSERT INTO students (user_id) SELECT 's' || n
                   FROM generate_series(2, $1::integer) AS n RETURNING id
               ) INSERT INTO student_classes (student_id, class_id) SELECT id, 1 FROM students""",
            students,
        )
        await run_notebook(pool, [f"s{number}" for number in range(1, students + 1)], 60)
    else:
        await fill_class(pool, students, 60)
        await pool.execute(ASSIGN)
    await pool.execute(SETTLE)
    yield database
    await database.close(5.0)


@pytest.mark.parametrize("students", [40, 200])
@pytest.mark.parametrize("statistics", ["never", "when nearly empty"])
async def test_views_do_not_depend_on_statistics(
    pool: asyncpg.Pool, postgres: Address, statistics: str, students: int
) -> None:
    async with filled(pool, postgres, statistics, students) as database:
        slow, laborious = {}, {}
        for name, view in VIEWS.items():
            async with database.snapshot() as connection:
                start = time.perf_counter()
                answer = await view(connection)
                elapsed = time.perf_counter() - start
                assert answer is not None
                if elapsed > LIMIT:
                    slow[name] = elapsed
                recorder = Recorder(connection)
                await view(recorder)
                rows = sum([await work(connection, *asked) for asked in recorder.asked])
                if rows > WORK * students * 60:
                    laborious[name] = rows
        assert (slow, laborious) == ({}, {}), (slow, laborious)


async def test_a_clock_that_was_months_behind_has_no_history_looked_through(
    pool: asyncpg.Pool, postgres: Address
) -> None:
    await fill_class(pool, 1, 30)
    await pool.execute("UPDATE cell_progress SET type = 'markdown' WHERE position < 15")
    offset = timedelta(days=300)
    await pool.execute("SELECT ensure_partitions(now() - $1::interval, now())", offset)
    await pool.execute(LONG_HISTORY, offset)
    await pool.execute(
        "UPDATE student_states SET greatest_offset = $1", offset // timedelta(microseconds=1)
    )
    laborious = {}
    database = Database(postgres, 1, 15.0)
    await database.open()
    for name in ("now", "help", "me"):
        async with database.snapshot() as connection:
            recorder = Recorder(connection)
            await VIEWS[name](recorder)
            rows = sum([await work(connection, *asked) for asked in recorder.asked])
            if rows > WORK * 30:
                laborious[name] = rows
    await database.close(5.0)
    assert laborious == {}


async def work(connection: Connection, query: str, arguments: tuple[Any, ...]) -> int:
    """How many rows the nodes of the query's plan return and discard."""
    explained = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *arguments)
    return rows_of(json.loads(explained)[0]["Plan"])


def rows_of(node: dict[str, Any]) -> int:
    each = sum(node.get(name, 0) for name in COUNTS)
    return int(each * node["Actual Loops"]) + sum(map(rows_of, node.get("Plans", ())))


COUNTS = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter")
