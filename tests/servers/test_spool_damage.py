"""Damaged files of the spool: what can be read is stored, what can't is counted and shown."""

import asyncio
import errno
import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from monitor.database.embedded.server import EmbeddedPostgres
from monitor.errors import Unavailable
from monitor.events.event import Payload
from monitor.pipeline.spool import segment, segments
from monitor.pipeline.spool.entries import Spool
from monitor.pipeline.spool.files import Name
from tests.support.consumers import ids_of, run_consumers, stored_ids
from tests.support.events import event as item
from tests.support.factories import make_event
from tests.support.postgres import address_of, environment_of, row_counts
from tests.support.replicas import Replica
from tests.support.waiting import eventually

PAGE = 4096

Damage = Callable[[Path, random.Random], None]


def segments_of(directory: Path) -> list[Path]:
    return [path for path in sorted((directory / "spool").iterdir()) if Name.of(path)]


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def pages(path: Path) -> int:
    return -(-path.stat().st_size // PAGE)


def noise_in_pages(path: Path, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 3)):
        overwrite(path, chance.randrange(pages(path)) * PAGE, chance.randbytes(PAGE))


def zeros_in_pages(path: Path, chance: random.Random) -> None:
    overwrite(path, chance.randrange(pages(path)) * PAGE, bytes(PAGE))


def page_in_the_wrong_place(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    source = chance.randrange(pages(path)) * PAGE
    target = chance.randrange(pages(path)) * PAGE
    overwrite(path, target, content[source : source + PAGE])


def one_bit(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    position = chance.randrange(len(content))
    overwrite(path, position, bytes([content[position] ^ 1 << chance.randrange(8)]))


def cut(path: Path, chance: random.Random) -> None:
    os.truncate(path, chance.randrange(path.stat().st_size))


KINDS = [noise_in_pages, zeros_in_pages, page_in_the_wrong_place, one_bit, cut]


def some_payloads(chance: random.Random, count: int) -> list[Payload]:
    return [
        Payload(
            [
                make_event(output="花" * chance.choice((0, 10, 3_000)))
                for _ in range(chance.choice((1, 1, 1, 40)))
            ],
            [],
        )
        for _ in range(count)
    ]


async def spooled(spool: Spool, chance: random.Random) -> list[Payload]:
    """What is in the spool now, in several files."""
    payloads = []
    for _ in range(6):
        payloads += (batch := some_payloads(chance, 8))
        await spool.append(batch)
    return payloads


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "_SEGMENT_BYTES", 100_000)


async def check_what_is_read(spool: Spool, payloads: list[Payload]) -> int:
    """All items are events as they were spooled, or dead letters; returns the number of these."""
    spooled_events = {event.id: event for payload in payloads for event in payload.events}
    entries = await spool.oldest(10**9, 10**9)
    assert entries.items == spool.events == len(spooled_events)
    events = [event for payload in entries.payloads for event in payload.events]
    letters = [letter for payload in entries.payloads for letter in payload.rejected]
    assert len({event.id for event in events}) == len(events)
    for event in events:
        original = spooled_events[event.id]
        assert (event.output, event.time, event.student) == (
            original.output,
            original.time,
            original.student,
        )
    assert sum(entries.lost.values()) == len(letters)
    assert all("could not be read in the spool" in letter.reason for letter in letters)
    return len(letters)


@pytest.mark.parametrize("damage", KINDS)
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("stopped", [False, True])
async def test_damage_loses_only_what_it_hits(
    tmp_path: Path, damage: Damage, seed: int, stopped: bool
) -> None:
    chance = random.Random(seed)
    spool = Spool.open(tmp_path, 100_000_000)
    payloads = await spooled(spool, chance)
    if stopped:
        await spool.close()
    files = segments_of(tmp_path)
    assert len(files) > 2
    hit = chance.choice(files)
    before = hit.read_bytes()
    damage(hit, chance)
    after = hit.read_bytes().ljust(len(before), b"\0")
    touched = {index // PAGE for index in range(len(before)) if before[index] != after[index]}
    if stopped:
        spool = Spool.open(tmp_path, 100_000_000)
    lost = await check_what_is_read(spool, payloads)
    if damage is not cut:  # each page holds a part of at most this many events
        assert lost <= 12 * len(touched) + 40 * (damage in (one_bit, noise_in_pages))
    entries = await spool.oldest(10**9, 10**9)
    await spool.remove(entries)
    assert spool.events == 0
    assert spool.damage.items == lost
    assert (hit.name in [path.name for path in spool.damage.files]) == bool(lost)
    await spool.append(more := some_payloads(chance, 3))
    assert await check_what_is_read(spool, more) == 0
    await spool.close()


@pytest.mark.parametrize("damage", KINDS)
async def test_the_others_are_stored_and_the_fallback_is_left(
    pool: asyncpg.Pool, damage: Damage
) -> None:
    chance = random.Random(1)
    async with run_consumers(pool, spool_bytes=100_000_000) as server:
        payloads = await spooled(server.spool, chance)
        damage(server.spool_files[0], chance)
        server.drain.activate(Unavailable("for the test"))
        await eventually(lambda: not server.spool.events and not server.drain.active, within=30)
        assert (await server.drain.health()).state == "ok"
        event = make_event()
        assert (await server.put(event)).stored == 1
        counts, lost = server.ledger.counts(), server.spool.damage.items
    sent = {str(each.id) for payload in payloads for each in payload.events} | {str(event.id)}
    assert lost
    assert (counts.stored, counts.rejected) == (len(sent) - lost, lost)
    stored = set(await stored_ids(pool))
    assert stored < sent
    assert len(stored) == len(sent) - lost
    assert await pool.fetchval("SELECT sum(rejected) FROM ledger") == lost
    reasons = await pool.fetch("SELECT reason FROM rejected_events")
    assert all("could not be read in the spool: bytes" in row["reason"] for row in reasons)


async def test_events_of_a_large_request_survive_beside_a_damaged_page(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, 100_000_000)
    events = [make_event(code="x" * 1_000) for _ in range(100)]
    await spool.append([Payload(events, [])])
    (path,) = segments_of(tmp_path)
    overwrite(path, 10 * PAGE, random.Random(1).randbytes(PAGE))
    (payload,) = (await spool.oldest(10, 10**9)).payloads
    await spool.close()
    assert len(payload.events) + len(payload.rejected) == 100
    assert 3 <= len(payload.rejected) <= 8
    kept = {event.id: event for event in payload.events}
    assert all(kept[event.id].code == event.code for event in events if event.id in kept)


async def test_a_request_can_not_forge_an_entry(tmp_path: Path) -> None:
    """What a student sends in a text is no entry, wherever reading begins after damage."""
    spool = Spool.open(tmp_path, 100_000_000)
    forged = make_event(student="teacher")
    await spool.append([Payload([forged], [])])
    (path,) = segments_of(tmp_path)
    frame = path.read_bytes()
    text = frame.decode("latin-1") * 20
    await spool.append([Payload([make_event(code=text)], []), Payload([make_event()], [])])
    overwrite(path, 0, bytes(len(frame) + 100))
    entries = await spool.oldest(10, 10**9)
    await spool.close()
    assert entries.items == 3
    assert not [e for payload in entries.payloads for e in payload.events if e.student == "teacher"]


async def test_damage_of_what_is_stored_already_is_no_loss(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, 100_000_000)
    payloads = [Payload([make_event(output="x" * 3_000)], []) for _ in range(20)]
    await spool.append(payloads)
    await spool.remove(await spool.oldest(15, 10**9))
    await spool.close()
    (path,) = segments_of(tmp_path)
    overwrite(path, PAGE, random.Random(1).randbytes(PAGE))
    spool = Spool.open(tmp_path, 100_000_000)
    entries = await spool.oldest(100, 10**9)
    assert ids_of(*(each.events[0] for each in entries.payloads)) == ids_of(
        *(each.events[0] for each in payloads[15:])
    )
    await spool.remove(entries)
    assert not spool.damage.files
    await spool.close()


async def test_a_damaged_journal_stores_again_and_loses_nothing(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, 100_000_000)
    await spool.append([Payload([make_event()], []) for _ in range(20)])
    await spool.remove(await spool.oldest(5, 10**9))
    await spool.close()
    (path,) = segments_of(tmp_path)
    journal = path.with_name(f"{path.name}.journal")
    overwrite(journal, 0, b"\0" * journal.stat().st_size)
    spool = Spool.open(tmp_path, 100_000_000)
    assert spool.events == 20
    await spool.close()


async def test_pages_that_the_disk_fails_to_read_are_passed_over_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool.open(tmp_path, 100_000_000)
    payloads = [Payload([make_event(output="x" * 1_000)], []) for _ in range(60)]
    await spool.append(payloads)
    real = os.pread

    def failing(descriptor: int, length: int, offset: int) -> bytes:
        """As a disk does: up to the bad page, then an error."""
        if offset // PAGE == 5:
            raise OSError(errno.EIO, "Input/output error")
        readable = length if offset // PAGE > 5 else min(length, 5 * PAGE - offset)
        return real(descriptor, readable, offset)

    monkeypatch.setattr(os, "pread", failing)
    before = (await spool.oldest(100, 10**9)).items
    assert 1 <= before <= 25
    monkeypatch.setattr(os, "pread", real)
    assert await check_what_is_read(spool, payloads) == 0
    monkeypatch.setattr(os, "pread", failing)
    monkeypatch.setattr(segment, "_READ_TIMEOUT", 0.0)
    await spool.close()
    spool = Spool.open(tmp_path, 100_000_000)
    lost = await check_what_is_read(spool, payloads)
    await spool.close()
    assert 1 <= lost <= 6


async def test_a_disk_that_fails_to_read_is_not_taken_for_postgresqls_absence(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(descriptor: int, length: int, offset: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    async with run_consumers(pool) as server:
        await server.spool.append([Payload([spooled := make_event()], [])])
        with monkeypatch.context() as patch:
            patch.setattr(os, "pread", failing)
            server.drain.activate(Unavailable("for the test"))
            await eventually(lambda: not server.drain.active)
            assert (await server.put(event := make_event())).stored == 1
            health = await server.drain.health()
            assert (health.state, server.spool.events) == ("degraded", 1)
            assert "The disk fails to read the spool" in str(health.error)
        await eventually(lambda: not server.spool.events)
        assert not server.spool.damage.files
    assert await stored_ids(pool) == ids_of(spooled, event)


async def test_what_can_not_be_read_back_is_not_acknowledged(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, 100_000_000)
    await spool.append([Payload([make_event()], [])])
    (first,) = segments_of(tmp_path)
    first.unlink()  # the open file goes on, but no later process finds it
    await spool.append([Payload([make_event()], [])])
    (second,) = segments_of(tmp_path)
    assert second != first
    assert spool.events == 2
    assert (await spool.oldest(10, 10**9)).items == 2
    await spool.close()
    again = Spool.open(tmp_path, 100_000_000)
    assert again.events == 1
    await again.close()


async def test_after_damage_another_file_is_written(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, 100_000_000)
    await spool.append([Payload([make_event()], []) for _ in range(9)])
    (first,) = segments_of(tmp_path)
    overwrite(first, 100, b"damage")
    assert len((await spool.oldest(100, 10**9)).lost) == 1
    await spool.append([Payload([make_event()], [])])
    assert len(segments_of(tmp_path)) == 2
    await spool.close()


@pytest.mark.parametrize("damage", [noise_in_pages, cut])
async def test_what_a_damaged_spool_lost_is_counted_after_a_kill(
    tmp_path: Path, damage: Damage
) -> None:
    chance = random.Random(1)
    data_dir = tmp_path / "data"
    with (
        EmbeddedPostgres(tmp_path / "postgres") as own_postgres,
        Replica(environment_of(address_of(own_postgres), data_dir)) as replica,
    ):
        own_postgres.stop()
        async with httpx.AsyncClient(timeout=20) as client:

            async def post_some() -> None:
                for _ in range(40):
                    sent = [item(code="x" * chance.choice((1, 900))) for _ in range(5)]
                    answer = await client.post(replica.events_url, json=sent)
                    assert answer.json()["spooled"] == 5

            await post_some()
            await asyncio.to_thread(replica.stop, signal.SIGTERM)
            damage(segments_of(data_dir)[0], chance)
            await asyncio.to_thread(replica.start)
            await post_some()
            await asyncio.to_thread(replica.stop, signal.SIGKILL)
            noise_in_pages(segments_of(data_dir)[1], chance)
            await asyncio.to_thread(replica.start)
            own_postgres.start()

            async def drained() -> bool:
                state = (await client.get(f"{replica.url}/health")).json()
                return bool(state["postgres"]["state"] == "ok" and not state["spool"]["events"])

            await eventually(drained, within=30)
            lost = (await client.get(f"{replica.url}/health")).json()["spool"]["damaged"]
        rows = await row_counts(address_of(own_postgres))
        assert lost
        assert rows["executions"] + lost == 400


async def test_health_says_what_is_damaged(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with (
        EmbeddedPostgres(tmp_path / "postgres") as own_postgres,
        Replica(environment_of(address_of(own_postgres), data_dir)) as replica,
    ):
        own_postgres.stop()
        async with httpx.AsyncClient(timeout=10) as client:

            async def state() -> Any:
                return (await client.get(f"{replica.url}/health")).json()

            for _ in range(20):
                sent = await client.post(replica.events_url, json=[item(code="x" * 900)])
                assert sent.json()["spooled"] == 1
            (path,) = segments_of(data_dir)
            overwrite(path, PAGE, random.Random(1).randbytes(PAGE))
            own_postgres.start()

            async def drained() -> bool:
                health = await state()
                return bool(health["spool"]["events"] == 0 and health["postgres"]["state"] == "ok")

            await eventually(drained, within=30)
            assert (await client.post(replica.events_url, json=[item()])).json()["stored"] == 1
            for _ in range(2):
                health = await state()
                lost = health["spool"]["damaged"]
                assert 1 <= lost <= 6
                assert health["status"] == health["spool"]["state"] == "degraded"
                for words in (f"{lost} items", str(data_dir), path.name, "rejected-events"):
                    assert words in health["spool"]["error"]
                assert health["jobs"]["spool_drain"]["state"] == "ok"
                counts = health["ledger"]["process"]
                assert 2 * counts["received"] == sum(counts.values())
                await asyncio.to_thread(replica.stop)
                await asyncio.to_thread(replica.start)
        rows = await row_counts(address_of(own_postgres))
        assert rows["executions"] == 21 - lost


async def test_health_names_a_damaged_file_of_an_earlier_version(
    environment: dict[str, str], tmp_path: Path
) -> None:
    data_dir = tmp_path / "earlier"
    data_dir.mkdir()
    path = data_dir / "spool.sqlite"
    shutil.copy(Path(__file__).parent / "spools" / "format-2.sqlite", path)
    overwrite(path, 0, random.Random(1).randbytes(PAGE))
    with Replica({**environment, "DATA_DIR": str(data_dir)}) as replica:
        async with httpx.AsyncClient(timeout=10) as client:
            assert (await client.post(replica.events_url, json=[item()])).json()["stored"] == 1
            spool = (await client.get(f"{replica.url}/health")).json()["spool"]
    assert spool["state"] == "degraded"
    assert str(data_dir / "spool" / "damaged" / "spool.sqlite") in spool["error"]
    assert "nobody knows how many" in spool["error"]
