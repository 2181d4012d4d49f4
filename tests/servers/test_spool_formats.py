"""Spools of each format ever written: this version drains them, and refuses newer ones.

`spools/format-0.sqlite` was left by commit 7cae75c, which ran with PostgreSQL unreachable, was sent
three of the captured bodies and one with events of both dialects and an invalid item, and stopped.
`spools/format-1.sqlite` was written by commit ba4d4d7: two events sent with the key of class 7, and
an event and an invalid item without a key. `spools/format-2.sqlite` was written by commit
6509d13, with the same kinds of items; its successors don't use SQLite.
"""

import random
import shutil
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from monitor.errors import SpoolError
from monitor.events.event import Payload, Source
from monitor.health import Counts
from monitor.pipeline.spool.entries import Spool
from monitor.pipeline.spool.files import Name
from monitor.pipeline.spool.frames import FORMAT
from tests.support.consumers import run_consumers
from tests.support.factories import make_event
from tests.support.waiting import eventually

SPOOLS = Path(__file__).parent / "spools"


def format_of(directory: Path) -> int:
    connection = sqlite3.connect(directory / "spool.sqlite")
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(number)


def replica_of(directory: Path) -> uuid.UUID:
    with closing(sqlite3.connect(directory / "spool.sqlite")) as connection:
        (name,) = connection.execute("SELECT id FROM replica").fetchone()
    return uuid.UUID(name)


def formats() -> list[int]:
    return sorted(int(path.stem.removeprefix("format-")) for path in SPOOLS.iterdir())


def earlier_files(directory: Path) -> list[Path]:
    return list(directory.glob("spool.sqlite*"))


def segments(directory: Path) -> list[Path]:
    return [path for path in (directory / "spool").iterdir() if Name.of(path)]


async def drained(pool: asyncpg.Pool, directory: Path, number: int) -> Counts:
    """The counts after a spool of that format was drained."""
    shutil.copy(SPOOLS / f"format-{number}.sqlite", directory / "spool.sqlite")
    assert format_of(directory) == number
    replica = replica_of(directory)
    async with run_consumers(pool, directory=directory) as server:
        assert server.spool.replica == replica
        await eventually(lambda: not server.spool.events)
        assert not earlier_files(directory)
        assert not server.spool.damage.files
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


async def test_events_of_format_2_keep_their_source(pool: asyncpg.Pool, tmp_path: Path) -> None:
    await pool.execute("INSERT INTO classes (id, class_code, name) VALUES (7, 'c', 'c')")
    assert await drained(pool, tmp_path, 2) == Counts(4, 3, 0, 1, 0, 0)
    assert await stored_rows(pool) == [
        ("hanako", "cell_executed", "x = 1", "{}", 7),
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
        await spool.append([Payload([make_event()], [])])
        await spool.close()
    numbers = {name.format for path in segments(tmp_path) if (name := Name.of(path))}
    assert numbers == {FORMAT} == {max(formats()) + 1}


async def test_a_spool_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, 1_000_000)
    await spool.append([Payload([make_event()], [])])
    await spool.close()
    (path,) = segments(tmp_path)
    newer = path.rename(path.with_suffix(".999"))
    before = newer.read_bytes()
    with pytest.raises(SpoolError, match=r"newer version.*999.*drained the spool.*DATA_DIR"):
        Spool.open(tmp_path, 1_000_000)
    assert newer.read_bytes() == before


async def test_an_earlier_spool_that_a_server_uses_is_refused(tmp_path: Path) -> None:
    shutil.copy(SPOOLS / "format-2.sqlite", tmp_path / "spool.sqlite")
    with closing(sqlite3.connect(tmp_path / "spool.sqlite", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SpoolError, match=r"Another server is using .*spool\.sqlite.*DATA_DIR"):
            Spool.open(tmp_path, 1_000_000)
    spool = Spool.open(tmp_path, 1_000_000)
    assert spool.events == 4
    await spool.close()


@pytest.mark.parametrize("page", range(3))
async def test_an_earlier_spool_is_read_around_a_damaged_page(tmp_path: Path, page: int) -> None:
    path = tmp_path / "spool.sqlite"
    shutil.copy(SPOOLS / "format-2.sqlite", path)
    with path.open("r+b") as file:
        file.seek(page * 4096)
        file.write(random.Random(page).randbytes(4096))
    spool = Spool.open(tmp_path, 1_000_000)
    entries = await spool.oldest(10, 100_000)
    assert entries.items == spool.events
    assert all(
        event.student in {"hanako", "taro", "花子"}
        for each in entries.payloads
        for event in each.events
    )
    assert spool.damage.files == [tmp_path / "spool" / "damaged" / "spool.sqlite"]
    assert not earlier_files(tmp_path)
    await spool.close()
