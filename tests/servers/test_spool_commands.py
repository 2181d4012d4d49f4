"""`spool check`, `export` and `salvage`, as an operator runs them."""

import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import asyncpg
import httpx

from monitor.events.event import Payload, Rejected
from monitor.pipeline.spool.entries import Spool
from monitor.pipeline.spool.files import Name
from tests.support.consumers import run_consumers, stored_ids
from tests.support.events import event as item
from tests.support.factories import make_event
from tests.support.paths import ROOT
from tests.support.postgres import Address
from tests.support.replicas import Replica
from tests.support.waiting import eventually

PAGE = 4096


async def run(data_dir: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(ROOT / "run.py"), "spool", *arguments],
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(data_dir)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def segments_of(directory: Path) -> list[Path]:
    return [path for path in sorted(directory.iterdir()) if Name.of(path)]


async def spooled(data_dir: Path, count: int) -> list[Payload]:
    payloads = [Payload([make_event(output="x" * 1_000)], []) for _ in range(count)]
    spool = Spool.open(data_dir, 100_000_000)
    await spool.append(payloads)
    await spool.close()
    return payloads


def damage(data_dir: Path) -> bytes:
    """Overwrites the second page of the first file; returns what it was."""
    path = segments_of(data_dir / "spool")[0]
    with path.open("r+b") as file:
        file.seek(PAGE)
        before = file.read(PAGE)
        file.seek(PAGE)
        file.write(random.Random(1).randbytes(PAGE))
    return before


def repair(path: Path, page: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(PAGE)
        file.write(page)


async def test_check_reads_everything_and_changes_nothing(tmp_path: Path) -> None:
    await spooled(tmp_path, 30)
    (path,) = segments_of(tmp_path / "spool")
    done = await run(tmp_path, "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{path}: 30 requests with 30 items",
        "30 items wait to be stored; 0 can't be read",
    ]
    damage(tmp_path)
    before = {each: each.read_bytes() for each in (tmp_path / "spool").iterdir()}
    done = await run(tmp_path, "check")
    assert done.returncode == 1
    assert "items are lost in" in done.stdout
    assert "damaged bytes" in done.stdout
    assert {each: each.read_bytes() for each in (tmp_path / "spool").iterdir()} == before


async def test_check_and_export_run_beside_a_server(tmp_path: Path, unused_tcp_port: int) -> None:
    away = {"POSTGRES_SERVER": "127.0.0.1", "POSTGRES_PORT": str(unused_tcp_port)}
    with Replica({**away, "DATA_DIR": str(tmp_path)}) as replica:
        sent = [item(), item(userId="花子")]
        async with httpx.AsyncClient(timeout=20) as client:
            answer = await client.post(replica.events_url, json=[*sent, {"eventType": 1}])
        assert answer.json()["spooled"] == 2
        done = await run(tmp_path, "check")
        assert done.stdout.endswith("3 items wait to be stored; 0 can't be read\n")
        (line,) = (await run(tmp_path, "export")).stdout.splitlines()
        refused = await run(tmp_path, "salvage")
    items = json.loads(line)
    assert [each.get("eventId") for each in items] == [*(each["eventId"] for each in sent), None]
    assert items[2] == {"eventType": 1}
    assert refused.returncode == 1
    assert "Another server is using" in refused.stderr
    assert "Traceback" not in refused.stderr


async def test_an_export_can_be_posted(tmp_path: Path, replica: Replica, postgres: Address) -> None:
    payloads = await spooled(tmp_path, 3)
    done = await run(tmp_path, "export")
    async with httpx.AsyncClient(timeout=20) as client:
        for line in done.stdout.splitlines():
            answer = await client.post(replica.events_url, content=line)
            assert answer.json()["stored"] == 1
    connection = await asyncpg.connect(**postgres)
    rows = await connection.fetch("SELECT event_id FROM cell_executions")
    await connection.close()
    assert {row["event_id"] for row in rows} == {each.events[0].id for each in payloads}


async def test_export_says_what_is_missing(tmp_path: Path) -> None:
    await spooled(tmp_path, 30)
    damage(tmp_path)
    done = await run(tmp_path, "export")
    assert done.returncode == 1
    lost = 30 - len(done.stdout.splitlines())
    assert 1 <= lost <= 6
    assert done.stderr == f"{lost} items can't be read\n"


async def test_salvage_reads_what_can_be_read_again(pool: asyncpg.Pool, tmp_path: Path) -> None:
    """As when the page can be read after all, or somebody restored it."""
    payloads = await spooled(tmp_path, 30)
    page = damage(tmp_path)
    async with run_consumers(pool, directory=tmp_path, spool_bytes=100_000_000) as server:
        await eventually(lambda: not server.spool.events)
        lost = server.spool.damage.items
    assert len(await stored_ids(pool)) == 30 - lost
    (kept,) = segments_of(tmp_path / "spool" / "damaged")
    done = await run(tmp_path, "check")
    assert f"{kept}: kept as damaged; {lost} items are lost" in done.stdout
    done = await run(tmp_path, "salvage", str(kept))
    assert f"{kept}: 0 more items are spooled, {lost} can't be read" in done.stdout
    assert done.returncode == 1
    repair(kept, page)
    done = await run(tmp_path, "salvage")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{kept}: {lost} more items are spooled, 0 can't be read" in done.stdout
    async with run_consumers(pool, directory=tmp_path, spool_bytes=100_000_000) as server:
        assert server.spool.events == lost
        await eventually(lambda: not server.spool.events)
        assert not server.spool.damage.files
        assert server.ledger.counts().duplicates == 0
    assert sorted(await stored_ids(pool)) == sorted(str(each.events[0].id) for each in payloads)
    assert (await run(tmp_path, "check")).returncode == 0


async def test_salvage_takes_files_from_elsewhere(pool: asyncpg.Pool, tmp_path: Path) -> None:
    lost_disk = tmp_path / "lost"
    payloads = await spooled(lost_disk, 5)
    copy = tmp_path / segments_of(lost_disk / "spool")[0].name
    shutil.copy(segments_of(lost_disk / "spool")[0], copy)
    earlier = tmp_path / "spool.sqlite"
    shutil.copy(ROOT / "tests/servers/spools/format-2.sqlite", earlier)
    data_dir = tmp_path / "data"
    done = await run(data_dir, "salvage", str(copy), str(earlier))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{copy}: 5 more items are spooled" in done.stdout
    assert f"{earlier}: 4 more items are spooled" in done.stdout
    async with run_consumers(pool, directory=data_dir, spool_bytes=100_000_000) as server:
        await eventually(lambda: not server.spool.events)
        assert server.ledger.counts().stored == 8
    assert {str(each.events[0].id) for each in payloads} < set(await stored_ids(pool))


async def test_a_wrong_file_or_directory_is_named(tmp_path: Path) -> None:
    done = await run(tmp_path / "none", "check")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tmp_path / 'none'} is no directory: set DATA_DIR")
    (tmp_path / "notes.txt").touch()
    done = await run(tmp_path, "salvage", str(tmp_path / "notes.txt"))
    assert done.stderr == f"{tmp_path / 'notes.txt'} is no file of a spool\n"


async def test_rejected_items_are_exported_too(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, 1_000_000)
    await spool.append([Payload([], [Rejected(0, "eventType", "missing", '{"a":1}')])])
    await spool.close()
    assert (await run(tmp_path, "export")).stdout == '[{"a":1}]\n'
