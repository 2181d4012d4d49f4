"""Spools of each format ever written: this version drains them, and refuses newer ones.

`spools/format-0.sqlite` was left by commit 7cae75c, which ran with PostgreSQL unreachable, was sent
three of the captured bodies and one with events of both dialects and an invalid item, and stopped.
"""

import shutil
import sqlite3
from pathlib import Path

import asyncpg
import pytest

from monitor.errors import SpoolError
from monitor.health import Counts
from monitor.pipeline.spool.entries import Spool
from tests.support.consumers import run_consumers
from tests.support.waiting import eventually

SPOOLS = Path(__file__).parent / "spools"


def format_of(directory: Path) -> int:
    connection = sqlite3.connect(directory / "spool.sqlite")
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(number)


def formats() -> list[int]:
    return sorted(int(path.stem.removeprefix("format-")) for path in SPOOLS.iterdir())


@pytest.mark.parametrize("number", formats())
async def test_a_spool_of_an_older_format_is_drained(
    pool: asyncpg.Pool, tmp_path: Path, number: int
) -> None:
    shutil.copy(SPOOLS / f"format-{number}.sqlite", tmp_path / "spool.sqlite")
    assert format_of(tmp_path) == number
    async with run_consumers(pool, directory=tmp_path) as server:
        await eventually(lambda: not server.spool.events)
        counts = server.ledger.counts()
    assert counts == Counts(7, 6, 0, 1, 0, 0)
    stored = await pool.fetch("""
        SELECT user_id, event_type, code, metadata FROM (
            SELECT student_id, event_type, code, metadata FROM cell_executions
            UNION ALL SELECT student_id, event_type, NULL, metadata FROM notebook_accesses
            UNION ALL SELECT student_id, event_type, NULL, metadata FROM events
        ) AS e JOIN students ON students.id = student_id
    """)
    assert sorted(map(tuple, stored), key=str) == [
        ("hanako@example.com", "cell_executed", "1/0", "{}"),
        ("hanako@example.com", "cell_executed", "x = 1 + 1\nx", "{}"),
        ("hanako@example.com", "notebook_opened", None, "{}"),
        ("taro", "cell_error", None, '{"traceback": ["t"]}'),
        ("taro", "help", None, "{}"),
        ("花子", "cell_executed", "print('花')", '{"room": 7}'),
    ]
    assert await pool.fetchval("SELECT raw FROM rejected_events") == '{"eventType":1}'


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
