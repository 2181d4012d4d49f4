"""Counters are exact, whatever the order of events and whichever replica writes."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import permutations
from typing import Any

import asyncpg
import pytest

from monitor.database.pool import Database
from monitor.errors import RowRefused, Unavailable
from monitor.events.event import Event
from monitor.events.types import status
from monitor.insight.packed_counts import percentile, unpack
from monitor.jobs import counting as module
from monitor.jobs.counting import Counting
from tests.support.counters import ACTIVITY, CELLS, rows_of
from tests.support.factories import deadline_soon, make_event, now
from tests.support.postgres import Address
from tests.support.sinks import retry_of, sink_on
from tests.support.waiting import eventually

ERRORS = """
    SELECT s.user_id, c.cell_id, e.error, e.count, e.last_at
    FROM cell_errors AS e JOIN students AS s ON s.id = e.student_id
    JOIN cells AS c ON c.id = e.cell_id
"""
# Takes so many seconds for each batch.
SLOWLY = """
    ALTER FUNCTION count_batches(integer) RENAME TO count_at_once;
    CREATE FUNCTION count_batches(most integer) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_sleep(most * {seconds});
        RETURN count_at_once(most);
    END $$
"""
WAITS = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'advisory')"
PLACES = """
    SELECT s.user_id, last_success_at, error_times, alias_at, n.path, cell_at, c.cell_id,
        p.executions, p.errors
    FROM student_states AS p JOIN students AS s ON s.id = p.student_id
    LEFT JOIN notebook_aliases AS n ON n.id = p.alias_id LEFT JOIN cells AS c ON c.id = p.cell_id
"""


@pytest.fixture
async def progress(database: Database) -> AsyncIterator[Counting]:
    progress = Counting(database, idle)
    await progress.start()
    yield progress
    await progress.stop(0)


def idle() -> bool:
    return False


def story() -> list[dict[str, Any]]:
    start = now().replace(minute=7, second=50) - timedelta(hours=3)
    steps: list[dict[str, Any]] = [
        {"failed": True, "error": "KeyError: 'a'", "duration_ms": 5.0},
        {"failed": True, "error": "KeyError: 'b'", "duration_ms": 70.0},
        {"duration_ms": 900.0},
        {"type": "cell_error", "error": "KeyError: 'c'", "duration_ms": None},
        {"duration_ms": -1.0},
        {"type": "help", "cell": "cell-2"},
    ]
    return [fields | {"time": start + timedelta(seconds=7 * n)} for n, fields in enumerate(steps)]


@pytest.mark.parametrize("when", ["after each batch", "at the end"])
async def test_what_is_counted_does_not_depend_on_the_order_of_arrival(
    pool: asyncpg.Pool, progress: Counting, when: str
) -> None:
    sink = sink_on(pool)
    steps = story()
    for number, order in enumerate(permutations(steps)):
        if number % 7:  # a seventh of them shows it as well
            continue
        events = [make_event(student=f"s{number}", **fields) for fields in order]
        cut = number % 3
        for batch in (events[:cut], events[cut:-1], events[-1:]):
            if batch:
                await sink.write(batch, deadline_soon())
            if when == "after each batch":
                await progress.catch_up()
    await progress.catch_up()
    (in_cell, at_help) = sorted({row[1:] for row in await rows_of(pool, CELLS)})
    times = [fields["time"] for fields in steps]
    assert in_cell[:7] == ("cell-1", 5, 3, times[0], times[3], times[2], 2)
    assert sum(unpack(in_cell[7])) == 3
    assert at_help[:3] == ("cell-2", 0, 0)
    assert {row[1:] for row in await rows_of(pool, ERRORS)} == {
        ("cell-1", "KeyError: …", 3, times[3])
    }
    assert len({row[1:] for row in await rows_of(pool, ACTIVITY)}) == len({60, 3600})
    assert {row[1:] for row in await rows_of(pool, PLACES)} == {
        (times[4], (), times[5], "units/lesson.ipynb", times[5], "cell-2", 5, 3)
    }


async def test_concurrent_counting_counts_each_event_once(
    pool: asyncpg.Pool, database: Database
) -> None:
    chance = random.Random(7)
    start = now() - timedelta(days=40)
    events = [
        make_event(
            student=f"s{chance.randrange(5)}",
            type=chance.choice(["cell_executed", "cell_error", "help", "cell_execution_start"]),
            time=start + timedelta(minutes=chance.randrange(60 * 24 * 40)),
            cell=chance.choice(["c1", "c2", None]),
            notebook=chance.choice(["n.ipynb", "n.ipynb", None]),
            error=chance.choice(["E: 1", "F: 'x' is", None]),
            duration_ms=chance.choice([None, 3.0, 40.0, 5e9]),
        )
        for _ in range(600)
    ]

    async def write(seed: int) -> None:
        sink, order = sink_on(pool), random.Random(seed)
        for batch in range(6):
            chosen = events[batch * 100 : batch * 100 + 100]
            await sink.write(
                [retry_of(event) for event in order.sample(chosen, 100)], deadline_soon()
            )

    counters = [Counting(database, idle), Counting(database, idle)]
    for each in counters:
        await each.start()
    writers = [asyncio.create_task(write(seed)) for seed in range(3)]
    while not all(writer.done() for writer in writers):
        await asyncio.gather(*(each.catch_up() for each in counters))
    await asyncio.gather(*writers)
    await counters[0].catch_up()
    for each in counters:
        await each.stop(0)
    assert await pool.fetchval("SELECT count(*) FROM outbox_counts") == 0
    assert {row[:8] for row in await rows_of(pool, CELLS)} == expected_cells(events)
    assert sum(row[3] for row in await rows_of(pool, ERRORS)) == sum(
        status(event) == "error" for event in events if event.cell and event.notebook
    )
    assert await timed(pool) == sum(
        event.duration_ms is not None and status(event) in ("success", "error")
        for event in events
        if event.cell and event.notebook
    )
    for step in (60, 3600):
        assert await activity(pool, step) == {
            "executions": sum(status(event) in ("success", "error") for event in events),
            "errors": sum(status(event) == "error" for event in events),
            "helps": sum(event.type == "help" for event in events),
        }


def expected_cells(events: list[Event]) -> set[tuple[Any, ...]]:
    by_cell: defaultdict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in events:
        if event.cell and event.notebook:
            by_cell[event.student, event.cell].append(event)
    expected = set()
    for key, cell_events in by_cell.items():
        errors = sorted(event.time for event in cell_events if status(event) == "error")
        successes = [event.time for event in cell_events if status(event) == "success"]
        first = min(successes, default=None)
        before = [at for at in errors if first is None or at < first]
        ends = (errors[0], errors[-1]) if errors else (None, None)
        executions = len(errors) + len(successes)
        expected.add((*key, executions, len(errors), *ends, first, len(before)))
    return expected


async def timed(pool: asyncpg.Pool) -> int:
    return sum(unpack(await pool.fetchval("SELECT sum(durations)::text FROM cell_progress")))


async def activity(pool: asyncpg.Pool, step: int) -> dict[str, int]:
    query = "SELECT sum({0})::text FROM student_activity WHERE step = $1"
    return {
        name: sum(unpack(await pool.fetchval(query.format(name), step)))
        for name in ("executions", "errors", "helps")
    }


async def test_a_batch_that_is_refused_is_not_counted(
    pool: asyncpg.Pool, progress: Counting
) -> None:
    with pytest.raises(RowRefused):
        await sink_on(pool).write([make_event(), make_event(metadata="no json")], deadline_soon())
    await progress.catch_up()
    assert await rows_of(pool, CELLS) == set()
    assert await pool.fetchval("SELECT count(*) FROM outbox_counts") == 0


async def test_what_a_dump_has_brought_is_not_counted_again(pool: asyncpg.Pool) -> None:
    sink, time = sink_on(pool), now()
    hour, second = timedelta(hours=1), timedelta(seconds=1)
    for kind in ("cell_error", "help"):
        await sink.write(
            [make_event(type=kind, time=time, received_at=time - hour)], deadline_soon()
        )
    await pool.execute("SELECT count_batches(10)")
    events = [
        make_event(time=time + n * second, received_at=time + abs(n) * second) for n in (-1, 0, 1)
    ]
    await sink.write(events, deadline_soon())
    # Where it is restored, transactions are numbered anew.
    for table in ("cell_executions", "events"):
        await pool.execute(f"UPDATE {table} SET batch = (SELECT batch FROM outbox_counts)")
    await pool.execute("SELECT count_batches(10)")
    assert await activity(pool, 60) == {"executions": 4, "errors": 1, "helps": 1}
    assert {row[2:4] for row in await rows_of(pool, CELLS)} == {(4, 1)}


async def test_batches_are_counted_even_if_nobody_asks(
    pool: asyncpg.Pool, progress: Counting
) -> None:
    await sink_on(pool).write([make_event()], deadline_soon())
    await counted(pool, 1)


async def test_a_count_that_nobody_answers_is_cut_off(
    pool: asyncpg.Pool, progress: Counting
) -> None:
    """As after a loss of the network, when it would wait for two minutes."""
    await sink_on(pool).write([make_event()], deadline_soon())
    async with pool.acquire() as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(hashtext('cell-monitor progress'))")
        waiting = asyncio.create_task(progress.catch_up())
        await eventually(lambda: other.fetchval(WAITS))
        progress.cut_off()
        with pytest.raises(Unavailable):
            await asyncio.wait_for(waiting, 5)
    await counted(pool, 1)


async def test_counting_gives_way_to_storing_but_not_for_ever(
    pool: asyncpg.Pool, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_INTERVAL", 0.01)
    progress = Counting(database, lambda: True)
    await progress.start()
    await sink_on(pool).write([make_event()], deadline_soon())
    await asyncio.sleep(0.5)
    assert not await rows_of(pool, CELLS)
    await progress.catch_up()
    assert await rows_of(pool, CELLS)
    await sink_on(pool).write([make_event(cell="cell-2")], deadline_soon())
    monkeypatch.setattr(module, "_BUSY_INTERVAL", 0.0)
    await counted(pool, 2)
    await progress.stop(0)


@pytest.mark.parametrize("seconds", [0.01, 0.4])
async def test_counting_goes_on_where_statements_may_take_only_a_while(
    pool: asyncpg.Pool, postgres: Address, seconds: float
) -> None:
    """Where even one batch takes longer than the operator allows, too."""
    sink = sink_on(pool)
    for number in range(30):
        await sink.write([make_event(cell=f"c{number}", error=None)], deadline_soon())
    await pool.execute(SLOWLY.format(seconds=seconds))
    await pool.execute("INSERT INTO outbox_recounts SELECT id FROM students ON CONFLICT DO NOTHING")
    await pool.execute(f"ALTER DATABASE {postgres['database']} SET statement_timeout = '200ms'")
    database = Database(postgres, 2, 30.0)
    await database.open()
    progress = Counting(database, idle)
    await progress.start()
    async with asyncio.timeout(30):
        await progress.catch_up()
    assert (await progress.health()).state == "ok"
    await progress.stop(0)
    await database.close(5.0)
    assert len(await rows_of(pool, CELLS)) == 30


async def counted(pool: asyncpg.Pool, cells: int) -> None:
    for _ in range(200):
        await asyncio.sleep(0.05)
        if len(await rows_of(pool, CELLS)) == cells:
            return
    pytest.fail("The batch was not counted")


async def test_who_asks_while_postgresql_is_away_is_told(postgres: Address) -> None:
    progress = Counting(Database(postgres, 1, 1.0), idle)  # which was never opened
    await progress.start()
    with pytest.raises(Unavailable):
        await progress.catch_up()
    await progress.stop(0)


@pytest.mark.parametrize(
    ("error", "normalised"),
    [
        ("NameError: name 'score_7' is not defined", "NameError: name … is not defined"),
        ("TypeError: can't multiply by 'str'\nmore", "TypeError: can't multiply by …"),
        ("KeyError: '平均'", "KeyError: …"),
        ("IndexError: index 12 is out of range", "IndexError: index … is out of range"),
        ("ValueError: int32 at 0x7f3a, -1.5", "ValueError: int32 at …, …"),
        ('X: "a" `b`', "X: … …"),
        ("\n AssertionError", "AssertionError"),
        ("", "Error"),
        ("花" * 300, "花" * 200),
    ],
)
async def test_errors_are_grouped_without_student_specific_parts(
    pool: asyncpg.Pool, error: str, normalised: str
) -> None:
    assert await pool.fetchval("SELECT normalised_error($1)", error) == normalised


@pytest.mark.parametrize("duration", [1.0, 1.04, 3.3, 99.0, 1e3, 12_345.6, 8.64e7])
async def test_a_duration_is_read_back_within_five_percent(
    pool: asyncpg.Pool, duration: float
) -> None:
    query = "SELECT (one_at(duration_bucket($1)) * 3)::text"
    buckets = unpack(await pool.fetchval(query, duration))
    assert sum(buckets) == 3
    for share in (0.5, 0.9):
        assert percentile(buckets, share) == pytest.approx(duration, rel=0.05)


@pytest.mark.parametrize("duration", [0.0, 1e300, float("inf"), float("nan")])
async def test_an_absurd_duration_has_a_bucket(pool: asyncpg.Pool, duration: float) -> None:
    bucket = await pool.fetchval("SELECT duration_bucket($1)", duration)
    assert bucket == (0 if duration == 0 else 255)
