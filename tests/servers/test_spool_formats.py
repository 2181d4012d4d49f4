"""Spools of each format ever written: this version drains them, and refuses newer ones.

`spools/format-0.sqlite` was left by commit 7cae75c, which ran with PostgreSQL unreachable, was sent
three of the captured bodies and one with events of both dialects and an invalid item, and stopped.
`spools/format-1.sqlite` was written by commit ba4d4d7: two events sent with the key of class 7, and
an event and an invalid item without a key.
"""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from monitor.errors import SpoolError
from monitor.events.event import Payload, Source
from monitor.health import Counts
from monitor.pipeline.spool.entries import Spool
from tests.support.consumers import run_consumers
from tests.support.factories import make_event
from tests.support.waiting import eventually

SPOOLS = Path(__file__).parent / "spools"


def format_of(directory: Path) -> int:
    connection = sqlite3.connect(directory / "spool.sqlite")
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(number)


def formats() -> list[int]:
    return sorted(int(path.stem.removeprefix("format-")) for path in SPOOLS.iterdir())


async def drained(pool: asyncpg.Pool, directory: Path, number: int) -> Counts:
    """The counts after a spool of that format was drained."""
    shutil.copy(SPOOLS / f"format-{number}.sqlite", directory / "spool.sqlite")
    assert format_of(directory) == number
    async with run_consumers(pool, directory=directory) as server:
        await eventually(lambda: not server.spool.events)
        return server.ledger.counts()


async def stored_rows(pool: asyncpg.Pool) -> list[tuple[Any, ...]]:
    rows = await pool.fetch("""
        SELECT user_id, event_type, code, metadata, class_id FROM (
            SELECT student_id, event_type, code, metadata, class_id FROM cell_executions
            UNION ALL
            SELECT student_id, event_type, NULL, metadata, class_id FROM notebook_accesses
            UNION ALL SELECT student_id, event_type, NULL, metadata, class_id FROM events
        ) AS e JOIN students ON students.id = student_id
    """)
    return sorted(map(tuple, rows), key=str)


async def test_a_spool_of_7cae75c_is_drained(pool: asyncpg.Pool, tmp_path: Path) -> None:
    assert await drained(pool, tmp_path, 0) == Counts(7, 6, 0, 1, 0, 0)
    assert await stored_rows(pool) == [
        ("hanako@example.com", "cell_executed", "1/0", "{}", 0),
        ("hanako@example.com", "cell_executed", "x = 1 + 1\nx", "{}", 0),
        ("hanako@example.com", "notebook_opened", None, "{}", 0),
        ("taro", "cell_error", None, '{"traceback": ["t"]}', 0),
        ("taro", "help", None, "{}", 0),
        ("花子", "cell_executed", "print('花')", '{"room": 7}', 0),
    ]
    assert await pool.fetchval("SELECT raw FROM rejected_events") == '{"eventType":1}'


async def test_events_of_format_1_go_to_the_class_of_their_key(
    pool: asyncpg.Pool, tmp_path: Path
) -> None:
    await pool.execute("INSERT INTO classes (id, class_code, name) VALUES (7, 'c', 'c')")
    assert await drained(pool, tmp_path, 1) == Counts(4, 3, 0, 1, 0, 0)
    assert await stored_rows(pool) == [
        ("hanako@example.com", "cell_executed", "x = 1 + 1\nx", "{}", 7),
        ("taro", "help", None, "{}", 7),
        ("花子", "cell_executed", "print('花')", '{"room": 7}', 0),
    ]


async def test_drained_events_of_one_source_share_it(tmp_path: Path) -> None:
    """What is known of a student and a source is found by the source itself."""
    spool = Spool.open(tmp_path, 1_000_000)
    for _ in range(2):
        event = make_event(source=Source("key 7", 7))
        await spool.append([Payload([event], [])])
    (first,), (second,) = (each.events for each in (await spool.oldest(10, 10_000)).payloads)
    await spool.close()
    assert first.source == Source("key 7", 7)
    assert first.source is second.source


async def test_a_spool_keeps_the_format_that_this_version_writes(tmp_path: Path) -> None:
    for _ in range(2):
        spool = Spool.open(tmp_path, 1_000_000)
        await spool.close()
    assert format_of(tmp_path) == max(formats()) + 1


async def test_a_spool_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SpoolError, match=r"newer version.*999.*drained the spool.*DATA_DIR"):
        Spool.open(tmp_path, 1_000_000)
    assert path.read_bytes() == before
