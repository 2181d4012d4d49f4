"""New names: a batch of them costs in proportion to them, however long the roster is."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from monitor.database.pool import BY_KEYS, close_pool, open_pool
from monitor.events.event import Event, Source
from tests.support.factories import deadline_soon, make_event
from tests.support.postgres import Address
from tests.support.sinks import sink_on

ROSTER = 100_000
NEW = 1_000  # names in a batch
TABLES = ("student_classes", "student_states", "students", "class_removals", "sessions")

# Rows that were read of each table, by whatever plan.
ROWS_READ = """
    SELECT t.relname, t.seq_tup_read + COALESCE(sum(i.idx_tup_read), 0)::bigint AS rows
    FROM pg_stat_user_tables AS t LEFT JOIN pg_stat_user_indexes AS i USING (relid)
    WHERE t.relname = ANY ($1) GROUP BY t.relname, t.seq_tup_read
"""


async def rows_read(pool: asyncpg.Pool) -> dict[str, int]:
    async with pool.acquire() as connection:
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        rows = await connection.fetch(ROWS_READ, list(TABLES))
    return {row["relname"]: row["rows"] for row in rows}


async def flush(pool: asyncpg.Pool) -> None:
    """Publishes what the sessions have counted: they report once a second, if they are idle."""
    connections = [await pool.acquire() for _ in range(pool.get_size())]
    for connection in connections:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        await pool.release(connection)


async def make_class(pool: asyncpg.Pool, **fields: Any) -> Source:
    """A class with a roster of ROSTER; the source of events with its key."""
    columns = {"class_code": "M1", "name": "数学", **fields}
    places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
    class_id = await pool.fetchval(
        f"INSERT INTO classes ({', '.join(columns)}) VALUES ({places}) RETURNING id",
        *columns.values(),
    )
    return Source(credential="key 7", class_id=class_id)


async def fill_roster(pool: asyncpg.Pool, source: Source) -> None:
    await pool.execute(
        """WITH added AS (
            INSERT INTO students (user_id)
            SELECT 'listed ' || n FROM generate_series(1, $1) AS n RETURNING id
        ), enrolled AS (
            INSERT INTO student_classes (student_id, class_id) SELECT id, $2 FROM added
        )
        INSERT INTO student_states (student_id, class_id) SELECT id, $2 FROM added""",
        ROSTER,
        source.class_id,
        timeout=60,
    )


def newcomers(source: Source, first: int) -> list[Event]:
    return [
        make_event(student=f"new {n}", session=f"s {n}", source=source)
        for n in range(first, first + NEW)
    ]


@pytest.fixture
async def by_keys(postgres: Address) -> AsyncIterator[asyncpg.Pool]:
    """The pipeline's connections, as the server has them."""
    by_keys = await open_pool(postgres, 2, 20.0, BY_KEYS)
    yield by_keys
    await close_pool(by_keys, 5.0)


@pytest.mark.parametrize("policy", ["open", "approve", "roster"])
async def test_new_names_do_not_read_the_roster(
    pool: asyncpg.Pool, by_keys: asyncpg.Pool, policy: str
) -> None:
    source = await make_class(pool, join_policy=policy, max_new_names=10_000)
    sink = sink_on(by_keys)
    for number in range(8):  # until the plans are kept: they suit a roster of nobody
        await sink.write(newcomers(source, number * 5)[:5], deadline_soon())
    await pool.execute("ANALYZE")
    await sink.write(newcomers(source, 100)[:5], deadline_soon())
    await fill_roster(pool, source)
    await flush(pool)
    await flush(by_keys)
    before = await rows_read(pool)
    assert before["students"] >= ROSTER  # the counters count
    for first in (1_000, 2_000):
        await sink.write(newcomers(source, first), deadline_soon(20))
    await flush(pool)
    await flush(by_keys)
    after = await rows_read(pool)
    read = {name: after[name] - before[name] for name in TABLES}
    assert max(read.values()) < 2 * NEW * 30, read


async def test_a_batch_of_new_names_takes_time_in_proportion(
    pool: asyncpg.Pool, by_keys: asyncpg.Pool
) -> None:
    """Each with a session, a notebook and a cell of its own; a square would take 16 times."""
    source = await make_class(pool, max_new_names=100_000)
    sink = sink_on(by_keys)
    for number in range(8):
        await sink.write(newcomers(source, number * 5)[:5], deadline_soon())
    await pool.execute("ANALYZE")

    async def seconds_for(first: int, last: int) -> float:
        events = [event for each in range(first, last, NEW) for event in newcomers(source, each)]
        for number, event in enumerate(events, first):
            event.notebook, event.cell = f"n{number}.ipynb", f"c{number}"
        began = time.monotonic()
        await sink.write(events, deadline_soon(20))
        return time.monotonic() - began

    few = await seconds_for(1_000, 2_000)
    assert await seconds_for(2_000, 6_000) < 8 * few


async def test_clocks_of_many_are_put_right_at_once(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = await make_class(pool, max_new_names=10_000)
    sink, late = sink_on(pool), timedelta(minutes=30)
    statements = 0

    def count(_: object) -> None:
        nonlocal statements
        statements += 1

    for seconds in (0, 4):
        events = newcomers(source, 0)
        for event in events:
            event.received_at += timedelta(seconds=seconds)
            event.time = event.received_at - late
        async with pool.acquire() as connection:
            connection.add_query_logger(count)
        await sink.write(events, deadline_soon(20))
    assert 0 < statements < 100
    offsets = await pool.fetch("SELECT DISTINCT clock_offset FROM cell_executions")
    assert [row["clock_offset"] for row in offsets] == [late // timedelta(microseconds=1)]
    assert await pool.fetchval("SELECT count(*) FROM outbox_recounts") == NEW
