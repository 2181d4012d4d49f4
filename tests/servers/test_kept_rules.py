"""What changes counted rows writes the students' states, and what is kept is bounded."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import asyncpg
import pytest

from monitor.database.pool import Database
from monitor.errors import Busy
from monitor.insight import kept as kept_module
from monitor.insight.cells import CellsQuery, notebook_progress
from monitor.insight.kept import Kept
from monitor.insight.notebook_rows import fetch_cells
from monitor.insight.query import class_notebook
from monitor.insight.versions import class_people
from tests.support.lessons import fill_class
from tests.support.paths import ROOT
from tests.support.postgres import Address

WRITE = re.compile(
    r"\b(?:INSERT\s+INTO|DELETE\s+FROM|UPDATE)\s+(?:ONLY\s+)?(?:cell_progress|cell_errors)\b"
)
# Functions that write what is counted of a student, and how the states tell: see CONTRIBUTING.md.
WRITERS = {
    "count_batches": "the batch has written them, and was in outbox_counts until now",
    "recount_totals": "it writes them",
    "remove_demo": "it deletes them",
}
FUNCTIONS = """
    SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
"""
LONGEST = 0.2  # seconds of processor time in one piece; garbage is collected more often here
STEP = "SELECT withdraw_rows($1, 1, 1, false)"
WITHDRAWAL = """
    INSERT INTO withdrawals (credentials, since, until, requested_by)
    VALUES ('{key 1}', now() - interval '1 day', now() + interval '1 day', 'x') RETURNING id
"""


async def test_only_known_functions_write_what_is_counted(pool: asyncpg.Pool) -> None:
    rows = await pool.fetch(FUNCTIONS)
    writers = {row["proname"] for row in rows if WRITE.search(row["prosrc"])}
    assert writers == WRITERS.keys()


def test_the_server_itself_writes_nothing_that_is_counted() -> None:
    files = (ROOT / "monitor").rglob("*.py")
    assert [path for path in files if WRITE.search(path.read_text("utf-8"))] == []


async def test_a_step_that_changes_rows_changes_the_version(
    pool: asyncpg.Pool, database: Database
) -> None:
    await fill_class(pool, 2, 3)
    async with database.snapshot() as connection:
        before = (await class_people(connection, [1])).versions
    await pool.execute(STEP, await pool.fetchval(WITHDRAWAL))
    async with database.snapshot() as connection:
        after = (await class_people(connection, [1])).versions
    assert before[1] != after[1]
    assert before[2] == after[2]


@pytest.fixture
async def lesson(pool: asyncpg.Pool, postgres: Address) -> AsyncIterator[Database]:
    await fill_class(pool, 20, 10)
    database = Database(postgres, 2, 15.0)
    await database.open()
    yield database
    await database.close(5.0)


async def cells(database: Database, kept: Kept, class_ids: list[int]) -> int:
    async with database.snapshot() as connection:
        view = await notebook_progress(connection, class_ids, 1, CellsQuery(), kept)
    return sum(cell.reached for cell in view.cells)


async def test_what_was_used_longest_ago_is_forgotten(
    lesson: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept()
    assert await cells(lesson, kept, [1]) == 200
    once = kept.size
    assert once > 200
    monkeypatch.setattr(kept_module, "MAX_CELLS", once + 10)
    assert await cells(lesson, kept, [1, 0]) == 200
    assert kept.size == once
    monkeypatch.setattr(kept_module, "MAX_CELLS", 2 * once)
    assert await cells(lesson, kept, [1]) == 200
    assert kept.size == 2 * once


async def test_a_large_notebook_goes_on_where_time_ended(
    lesson: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "MAX_CELLS", 100)
    kept = Kept(timeout=0.0)
    busy = 0
    while busy < 1_000:
        try:
            assert await cells(lesson, kept, [1]) == 200
            break
        except Busy:
            busy += 1
    assert 0 < busy < 1_000
    assert kept.size > 100


async def test_only_who_has_changed_is_read_again(
    pool: asyncpg.Pool, lesson: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept()
    await cells(lesson, kept, [1])
    read: list[int] = []

    async def fetch(connection: Any, people: list[int], *more: Any) -> Any:
        read.extend(people)
        return await fetch_cells(connection, people, *more)

    monkeypatch.setattr("monitor.insight.class_notebook.fetch_cells", fetch)
    await cells(lesson, kept, [1])
    assert read == []
    await pool.execute("SELECT recount_students('{7}')")
    await cells(lesson, kept, [1])
    assert read == [7]


async def test_who_waits_too_long_for_others_is_told_so(
    lesson: Database, pool: asyncpg.Pool
) -> None:
    kept = Kept(timeout=0.1)
    async with lesson.snapshot() as connection:
        people = await class_people(connection, [1])
        notebook = await class_notebook(connection, [1], 1)
        async with kept.notebook(connection, [1], notebook, people):
            with pytest.raises(Busy):
                await cells(lesson, kept, [1])
    assert await cells(lesson, kept, [1]) == 200


async def test_a_view_that_was_cut_off_goes_on_the_next_time(lesson: Database) -> None:
    kept = Kept()
    for seconds in (0.001, 0.005, 0.01, 0.02, 0.03):
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await cells(lesson, kept, [1])
    assert await cells(lesson, kept, [1]) == 200


async def test_the_first_look_at_a_large_class_takes_pauses(
    pool: asyncpg.Pool, database: Database
) -> None:
    await fill_class(pool, 100, 60)
    longest, last, is_over = 0.0, time.thread_time(), False

    async def watch() -> None:
        nonlocal longest, last
        while not is_over:
            last = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - last)

    watching = asyncio.create_task(watch())
    await cells(database, Kept(), [1])
    is_over = True
    await watching
    assert longest < LONGEST
