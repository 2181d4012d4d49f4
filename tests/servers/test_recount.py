"""Counting anew leads to the numbers that batches and count_batches made."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest

from monitor.database.pool import Database
from monitor.events.event import Event, Source
from monitor.jobs.counting import Counting
from monitor.pipeline.postgres import PostgresSink
from monitor.recount import recount
from tests.support.counters import counted
from tests.support.events import event, post
from tests.support.factories import deadline_soon, make_event, now
from tests.support.paths import ROOT
from tests.support.postgres import Address, fetch
from tests.support.replicas import Replica
from tests.support.schema import restore
from tests.support.sinks import retry_of, sink_on
from tests.support.waiting import eventually

WAITING = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'recount'"
RECOUNT = "SELECT recount_students(ARRAY(SELECT id FROM students))"
KINDS = [
    "cell_executed",
    "cell_executed",
    "cell_error",
    "cell_execution_start",
    "notebook_saved",
    "help",
    "help_stop",
    "quiz_answered",
]
TWO_CLASSES = """
    WITH classes AS (
        INSERT INTO classes (class_code, name) VALUES ('a', 'A'), ('b', 'B')
        RETURNING id, class_code
    ), students AS (
        INSERT INTO students (user_id) SELECT 's' || n FROM generate_series(0, 4) AS n
        RETURNING id, user_id
    )
    INSERT INTO student_classes (student_id, class_id)
    SELECT students.id, classes.id FROM students, classes
    WHERE user_id <> 's4' AND (class_code = 'a' OR user_id IN ('s0', 's1'))
"""


class Story:
    """Random events in the order in which clients send them."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._start = now() - timedelta(days=3)
        self._sent = 0

    def batch(self) -> list[Event]:
        """Up to 20 events of one request."""
        chance = self._chance
        self._sent += chance.randrange(1, 4_000)
        wrong = chance.choice([0, 0, 0, 9, -40, 7_200])
        late = chance.choice([0, 0, 0.2, 3, 5_000])
        received_at = self._start + timedelta(seconds=self._sent)
        ages = sorted(chance.sample(range(1, 10_000), chance.randrange(1, 20)), reverse=True)
        return [self._event(received_at, age / 1_000, wrong, late) for age in ages]

    def _event(self, received_at: datetime, age: float, wrong: float, late: float) -> Event:
        """The clocks of s0 and s1 change, and requests of theirs are late; others' are ahead."""
        chance = self._chance
        number = chance.randrange(5)
        seconds = wrong - late if number < 2 else 100 * (number - 2)
        at = received_at + timedelta(seconds=round(seconds - age, 3))
        own = Source(f"person s{number}", student=f"s{number}", verified=True)
        return make_event(
            type=chance.choice(KINDS),
            time=at,
            received_at=received_at,
            student=f"s{number}",
            name=chance.choice([None, "ann", "bob"]),
            session=chance.choice(["one", "two", None]),
            notebook=chance.choice(["n.ipynb", "./n.ipynb", "m.ipynb", None]),
            cell=chance.choice(["c1", "c2", "c3", None]),
            cell_type=chance.choice(["code", "code", "markdown", None]),
            cell_index=chance.choice([0, 3, 7, -1, None]),
            code=chance.choice(["a = 1", "a=1", "b", " ", None]),
            failed=chance.random() < 0.4,
            error=chance.choice(["KeyError: 1", "ValueError: x", None]),
            duration_ms=chance.choice([None, 3.0, 40.0, 5e9, -1.0]),
            class_code=chance.choice([None, "a", "b"]),
            source=own if number < 2 and chance.random() < 0.1 else Source(),
        )


async def steady(pool: asyncpg.Pool) -> dict[str, set[tuple[Any, ...]]]:
    """What is counted of students whose events were not put right later: those are counted anew."""
    corrected = {row[0] for row in await pool.fetch("SELECT student_id FROM outbox_recounts")}
    rows = await counted(pool)
    assert len({row[0] for row in rows["student_states"]} - corrected) >= 3
    return {table: {row for row in rows[table] if row[0] not in corrected} for table in rows}


async def store(sink: PostgresSink, batch: list[Event]) -> None:
    await sink.write(batch, deadline_soon(30.0))


def assert_same(
    now_counted: dict[str, set[tuple[Any, ...]]], before: dict[str, set[tuple[Any, ...]]]
) -> None:
    for table, rows in now_counted.items():
        assert rows ^ before[table] == set(), table


@pytest.mark.parametrize("seed", range(4))
async def test_counting_anew_changes_nothing(pool: asyncpg.Pool, seed: int) -> None:
    await pool.execute(TWO_CLASSES)
    story, sink = Story(seed), sink_on(pool)
    for number in range(60):
        batch = story.batch()
        await store(sink, batch)
        if number % 5 == 0:
            await store(sink, [retry_of(each) for each in batch])
        if number % 7 == 0:
            await pool.execute("SELECT count_batches(3)")
    await pool.execute("SELECT count_batches(1000)")
    before = await steady(pool)
    assert all(len(rows) >= 3 for rows in before.values())
    excluded = await pool.fetchval("SELECT count(*) FROM events WHERE excluded IS NOT NULL")
    assert excluded > 0
    await pool.execute(RECOUNT)
    assert_same(await steady(pool), before)
    before = await counted(pool)
    await pool.execute(RECOUNT)
    assert_same(await counted(pool), before)


async def test_batches_that_are_not_counted_yet_are_counted_once(pool: asyncpg.Pool) -> None:
    await pool.execute(TWO_CLASSES)
    story, sink = Story(9), sink_on(pool)
    for _ in range(20):
        await store(sink, story.batch())
    await pool.execute("SELECT count_batches(12)")
    before = await steady(pool)
    assert await pool.fetchval("SELECT count(*) FROM outbox_counts") == 8
    await pool.execute(RECOUNT)
    assert_same(await steady(pool), before)
    await pool.execute("SELECT count_batches(12)")
    before = await steady(pool)
    await pool.execute(RECOUNT)
    assert_same(await steady(pool), before)


async def test_wrong_and_missing_numbers_are_put_right(pool: asyncpg.Pool) -> None:
    await pool.execute(TWO_CLASSES)
    story, sink = Story(5), sink_on(pool)
    for _ in range(20):
        await store(sink, story.batch())
    await pool.execute("SELECT count_batches(100)")
    await pool.execute(RECOUNT)
    before = await counted(pool)
    names = await pool.fetch("SELECT name, name_at FROM student_states ORDER BY 1, 2")
    for change in (
        "UPDATE student_states SET executions = 77, error_times = '{}', cell_id = NULL",
        "UPDATE cell_progress SET errors = errors + 1",
        "DELETE FROM cell_errors",
        "UPDATE student_activity SET executions = 0",
    ):
        await pool.execute(change)
    await pool.execute(RECOUNT)
    assert_same(await counted(pool), before)
    assert await pool.fetch("SELECT name, name_at FROM student_states ORDER BY 1, 2") == names


async def test_rows_that_count_no_more_leave_nothing(pool: asyncpg.Pool) -> None:
    await store(sink_on(pool), [make_event(failed=True), make_event(type="help")])
    await pool.execute("SELECT count_batches(10)")
    for table in ("cell_executions", "events"):
        await pool.execute(f"UPDATE {table} SET excluded = 'withdrawn'")
    await pool.execute(RECOUNT)
    rows = await counted(pool)
    (state,) = await pool.fetch("SELECT * FROM student_states")
    assert (state["executions"], state["errors"], state["error_times"]) == (0, 0, [])
    assert not any(state[name] for name in ("last_received_at", "alias_id", "cell_id", "help_at"))
    assert not any(rows[table] for table in rows if table != "student_states")


async def test_events_that_arrive_meanwhile_are_counted_once(
    pool: asyncpg.Pool, database: Database
) -> None:
    await pool.execute(TWO_CLASSES)

    async def write(seed: int) -> None:
        story, sink = Story(seed), sink_on(pool)
        for _ in range(40):
            await store(sink, story.batch())

    counting = Counting(database, lambda: False)
    await counting.start()
    writers = [asyncio.create_task(write(seed)) for seed in (1, 2)]
    rounds = 0
    while not all(writer.done() for writer in writers):
        await asyncio.gather(pool.execute(RECOUNT), counting.catch_up())
        rounds += 1
    await asyncio.gather(*writers)
    assert rounds > 3
    await counting.catch_up()
    await counting.stop(0)
    before = await counted(pool)
    await pool.execute(RECOUNT)
    after = await counted(pool)
    # Of two writers' events that were put right to one time, either may be the later one.
    del before["student_states"], after["student_states"]
    assert_same(after, before)
    (states,) = await pool.fetch(
        "SELECT sum(executions) AS executions, sum(errors) AS errors FROM student_states"
    )
    (rows,) = await pool.fetch(
        """SELECT count(*) AS executions, count(*) FILTER (WHERE status = 'error') AS errors
           FROM cell_executions WHERE status <> 'rendered' AND excluded IS NULL"""
    )
    assert states == rows


async def test_students_are_counted_in_steps(pool: asyncpg.Pool, database: Database) -> None:
    await store(sink_on(pool), [make_event(student=f"s{number}") for number in range(120)])
    await pool.execute("INSERT INTO students (user_id) VALUES ('no events')")
    reports: list[tuple[int, int]] = []
    assert await recount(database, lambda *report: reports.append(report)) == 120
    assert reports[-1] == (120, 120)
    assert len(reports) >= 7  # 1, 2, 4, 8, 16, 32, 50, …


def command(environment: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), "recount"],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background of a shell ignore SIGINT, and so would their children.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


async def test_the_command_counts_beside_a_server(replica: Replica, postgres: Address) -> None:
    await post(replica, event(), event(userId="taro", hasError=True))
    await fetch(postgres, "SELECT count_batches(10)")
    await fetch(postgres, "UPDATE student_states SET executions = 0")
    done = command(replica.environment)
    output, errors = await asyncio.to_thread(done.communicate, timeout=60)
    assert (done.returncode, errors) == (0, "")
    assert output == "1 of 2 students\n2 of 2 students\nDone: 2 students\n"
    states = await fetch(postgres, "SELECT executions, errors FROM student_states ORDER BY errors")
    assert [tuple(state.values()) for state in states] == [(1, 0), (1, 1)]


async def test_the_command_may_be_interrupted(replica: Replica, postgres: Address) -> None:
    await post(replica, event())
    connection = await asyncpg.connect(**postgres)
    async with connection.transaction():
        await connection.execute("SELECT FROM student_states FOR UPDATE")
        started = command(replica.environment)
        await eventually(lambda: fetch(postgres, WAITING), lambda rows: len(rows) == 1)
        started.send_signal(signal.SIGINT)
        output, errors = await asyncio.to_thread(started.communicate, timeout=60)
    await connection.close()
    assert (started.returncode, output) == (1, "")
    assert errors == "Interrupted; run the command again to count all\n"


async def test_the_command_does_not_migrate(environment: dict[str, str], postgres: Address) -> None:
    await restore(postgres)
    done = command(environment | {"PATH": os.environ["PATH"]})
    output, errors = await asyncio.to_thread(done.communicate, timeout=60)
    assert (done.returncode, output) == (1, "")
    assert errors.startswith("The schema lacks 0001_first_version.sql, ")
