"""Consumers between a queue and a real PostgreSQL."""

import asyncio
import copy
import json
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from monitor.database.dead_letters import DeadLetters
from monitor.database.pool import close_pool, open_pool
from monitor.errors import QueueFull, SpoolFull, Unavailable
from monitor.events.event import Event, Payload, Rejected
from monitor.health import ConsumersHealth, Counts
from monitor.pipeline.postgres import PostgresSink, Stored
from monitor.pipeline.resolving import Resolved
from monitor.pipeline.rows import PendingRow, pending_row
from monitor.pipeline.spool.entries import Spool
from tests.support.consumers import ids_of, run_consumers, stored_ids
from tests.support.factories import deadline_soon, make_event, now
from tests.support.postgres import Address
from tests.support.waiting import eventually

POISON = '{"n":1e200000}'


@contextmanager
def no_more_disk(file: Path) -> Iterator[None]:
    """As if the disk were full: this process can make no file larger than that one is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_only_the_poison_among_good_events_is_rejected(pool: asyncpg.Pool) -> None:
    good, poison = [make_event() for _ in range(9)], make_event(metadata=POISON, code="花")
    async with run_consumers(pool) as server:
        receipts = await asyncio.gather(
            server.put(*good[:3]), server.put(*good[3:5], poison, *good[5:7]), server.put(*good[7:])
        )
        assert [receipt.stored for receipt in receipts] == [3, 4, 2]
        assert [len(receipt.rejected) for receipt in receipts] == [0, 1, 0]
        assert receipts[1].rejected[0].index == 2
        assert (server.ledger.counts().stored, server.ledger.counts().rejected) == (9, 1)
        await eventually(lambda: sum(len(each.events) for each in server.published) == 9)
    assert await stored_ids(pool) == ids_of(*good)
    (letter,) = await pool.fetch("SELECT source, reason, raw FROM rejected_events")
    assert letter["source"] == "ingest"
    assert letter["reason"]
    raw = json.loads(letter["raw"])
    assert (raw["eventId"], raw["code"]) == (str(poison.id), "花")
    assert json.dumps(raw["metadata"]) == json.dumps(json.loads(POISON))


async def test_refused_event_has_its_index_in_the_request(
    pool: asyncpg.Pool,
) -> None:
    no_event = Rejected(0, "eventType", "missing", "{}")
    events = [make_event(), make_event(metadata=POISON)]
    async with run_consumers(pool) as server:
        receipt = await server.queue.put(Payload(events, [no_event]), 1)
    assert [item.index for item in receipt.rejected] == [0, 2]
    assert receipt.stored == 1
    assert await pool.fetchval("SELECT count(*) FROM rejected_events") == 2


async def test_poison_that_is_sent_again_is_recorded_once(pool: asyncpg.Pool) -> None:
    poison = make_event(metadata=POISON)
    async with run_consumers(pool) as server:
        for _ in range(2):
            assert len((await server.put(poison)).rejected) == 1
    assert await pool.fetchval("SELECT count(*) FROM rejected_events") == 1


async def test_lost_commit_reply_counts_dead_letter_once(
    pool: asyncpg.Pool, tmp_path: Path
) -> None:
    spool = Spool.open(tmp_path, 1_000_000)
    letters = DeadLetters(pool, spool.replica)
    counted = "SELECT sum(rejected)::int FROM ledger"
    first = [Rejected(index, "", "no event", "{}", now()) for index in range(2)]
    again = Rejected(0, "", "no event", "{}", now() + timedelta(seconds=1))
    for _ in range(2):
        await letters.add("ingest", first, deadline_soon())
        assert await pool.fetchval(counted) == 2
    for _ in range(2):
        await letters.add("ingest", [again], deadline_soon())
        assert await pool.fetchval(counted) == 3
    assert await pool.fetchval("SELECT count(*) FROM rejected_events") == 1
    await letters.add("handler", [again], deadline_soon())
    assert await pool.fetchval(counted) == 3
    await spool.close()


async def test_a_commit_waits_for_the_disk_whatever_the_session_says(
    pool: asyncpg.Pool, postgres: Address
) -> None:
    await pool.execute(NOTE_AT_COMMIT)
    careless = await open_pool(postgres, 1, 5.0)
    try:
        async with careless.acquire() as connection:  # as somebody behind a pooler may leave it
            await connection.execute("SET synchronous_commit = off")
        async with run_consumers(careless) as server:
            assert (await server.put(make_event())).stored == 1
    finally:
        await close_pool(careless, 5.0)
    assert await pool.fetch("SELECT DISTINCT value FROM at_commit") == [("on",)]


NOTE_AT_COMMIT = """
    CREATE TABLE at_commit (value text);
    CREATE FUNCTION note_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO at_commit VALUES (current_setting('synchronous_commit'));
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT OR UPDATE OF stored ON ledger
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.stored > 0)
        EXECUTE FUNCTION note_at_commit();
"""


async def test_each_request_is_told_of_its_own_duplicates(pool: asyncpg.Pool) -> None:
    event, other = make_event(), make_event()
    async with run_consumers(pool) as server:
        await server.put(event)
        again = make_event(id=event.id, time=event.time, received_at=make_event().received_at)
        receipts = await asyncio.gather(server.put(again, other), server.put(make_event()))
    assert [(each.stored, each.duplicates) for each in receipts] == [(1, 1), (1, 0)]


async def test_a_large_request_is_stored_in_parts_and_answered_once(pool: asyncpg.Pool) -> None:
    events = [make_event() for _ in range(1_000)]
    poison = make_event(metadata=POISON)
    call = make_event(type="help", id=events[0].id, time=events[0].time)  # in another table
    async with run_consumers(pool, queue_events=2_000) as server:
        receipt = await server.put(*events, copy.copy(events[0]), poison, copy.copy(poison), call)
        await eventually(lambda: sum(len(each.events) for each in server.published) == 1_001)
        assert max(len(each.events) for each in server.published) == 200
    assert (receipt.stored, receipt.duplicates) == (1_001, 1)
    assert await pool.fetchval("SELECT count(*) FROM events") == 1
    assert [each.index for each in receipt.rejected] == [1_001, 1_002]
    assert await stored_ids(pool) == ids_of(*events)


async def test_what_postgresql_cant_take_is_spooled_and_comes_in_later(
    pool: asyncpg.Pool, postgres: Address, postgres_server: Address
) -> None:
    name, events, untimed = (
        postgres["database"],
        [make_event() for _ in range(3)],
        make_event(untimed=True),
    )
    admin = await asyncpg.connect(**postgres_server)
    try:
        async with run_consumers(pool, timeout=0.3) as server:
            await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
            )
            for event in (*events, untimed):
                assert (await server.put(event)).spooled == 1
            assert server.drain.active
            account = server.ledger.counts()
            assert (account.received, account.spooled, account.pending) == (4, 4, 0)
            assert server.published == []
            await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            await eventually(lambda: not server.spool.events)
            assert server.ledger.counts() == Counts(4, 4, 0, 0, 0, 0)
            shown = [event.id for stored in server.published for event in stored.events]
            assert shown == [event.id for event in (*events, untimed)]
            assert not server.drain.active
            assert (await server.put(make_event())).stored == 1
    finally:
        await admin.close()
    assert len(await stored_ids(pool)) == 5


async def test_a_retry_that_overtakes_the_spool_is_stored_once(
    pool: asyncpg.Pool, postgres: Address
) -> None:
    event = make_event()
    async with run_consumers(pool) as server:
        await server.spool.append([Payload([event], [])])
        retry = make_event(id=event.id, time=event.time)
        await server.put(retry)
        server.drain.activate(Unavailable("for the test"))
        await eventually(lambda: not server.spool.events)
        account = server.ledger.counts()
        assert (account.stored, account.duplicates) == (1, 1)
    assert await stored_ids(pool) == ids_of(event)
    assert await pool.fetchval("SELECT executions FROM student_states") == 1


async def test_drain_after_crash_counts_committed_once(
    pool: asyncpg.Pool,
) -> None:
    event = make_event()
    async with run_consumers(pool) as server:
        await server.put(event)
        await server.spool.append([Payload([event], [])])  # as if it had not been removed in time
        server.drain.activate(Unavailable("for the test"))
        await eventually(lambda: not server.spool.events)
        assert server.ledger.counts().duplicates == 0
    assert await pool.fetchval("SELECT executions FROM student_states") == 1
    assert dict(await pool.fetchrow("SELECT stored, duplicates FROM ledger")) == {
        "stored": 1,
        "duplicates": 0,
    }


async def test_full_spool_without_postgresql_refuses_requests(
    unused_port: int,
) -> None:
    async with (
        asyncpg.create_pool(host="127.0.0.1", port=unused_port, user="x", min_size=0) as closed,
        run_consumers(closed, timeout=0.2, spool_bytes=150_000) as server,
    ):
        large = "x" * 40_000
        assert (await server.put(make_event(output=large))).spooled == 1
        answers = [server.put(make_event(output=large)) for _ in range(5)]
        *_, last = await asyncio.gather(*answers, return_exceptions=True)
        assert isinstance(last, SpoolFull)
        held = server.spool.events
        assert server.ledger.counts() == Counts(held, 0, 0, 0, held, 0)
        assert (await server.consumers.health()).alive == 2
        assert (server.queue.events, server.queue.bytes) == (0, 0)
        assert (await server.put(make_event())).spooled == 1


async def test_disk_recovery_is_noticed_without_traffic(unused_port: int) -> None:
    async with (
        asyncpg.create_pool(host="127.0.0.1", port=unused_port, user="x", min_size=0) as closed,
        run_consumers(closed, timeout=0.2) as server,
    ):
        assert (await server.put(make_event())).spooled == 1
        with no_more_disk(server.spool_files[-1]), pytest.raises(SpoolFull):
            await server.put(make_event())
        assert server.spool.failure
        await eventually(lambda: server.spool.failure is None)
        assert server.drain.active


async def test_after_the_deadline_nothing_is_tried(
    pool: asyncpg.Pool, postgres: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def write(sink: PostgresSink, events: list[Event], deadline: float) -> Stored:
        nonlocal tries
        tries += 1
        return await real(sink, events, deadline)

    real = PostgresSink.write
    monkeypatch.setattr(PostgresSink, "write", write)
    admin = await asyncpg.connect(**postgres)
    try:
        async with run_consumers(pool, timeout=1.0) as server, admin.transaction():
            await admin.execute("LOCK TABLE cell_executions IN EXCLUSIVE MODE")
            assert (await server.put(make_event())).spooled == 1
            assert tries == 1
    finally:
        await admin.close()


async def test_a_postgresql_that_hangs_is_not_waited_for(
    pool: asyncpg.Pool, postgres: Address
) -> None:
    admin = await asyncpg.connect(**postgres)
    try:
        async with run_consumers(pool, timeout=1.0) as server:
            await server.put(make_event(type="help"))
            async with admin.transaction():
                await admin.execute("LOCK TABLE student_states IN EXCLUSIVE MODE")
                assert (await server.put(make_event())).spooled == 1
            await eventually(lambda: not server.spool.events)
            assert server.ledger.counts().stored == 2
    finally:
        await admin.close()


async def test_an_event_that_can_not_be_handled_stops_no_other(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handle(position: int, event: Event, place: Resolved) -> PendingRow:
        if event.code == "odd":
            raise KeyError("a fault of ours")
        return pending_row(position, event, place)

    monkeypatch.setattr("monitor.pipeline.postgres.pending_row", handle)
    async with run_consumers(pool) as server:
        receipt = await server.put(make_event(), make_event(code="odd"), make_event())
    assert (receipt.stored, [item.index for item in receipt.rejected]) == (2, [1])
    assert "a fault of ours" in await pool.fetchval("SELECT reason FROM rejected_events")


@pytest.fixture
def unused_port() -> int:
    return 1


async def test_a_connection_lost_midway_costs_nothing_and_stores_once(
    pool: asyncpg.Pool, postgres: Address
) -> None:
    waiting = """
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'
    """
    events = [make_event() for _ in range(5)]
    admin = await asyncpg.connect(**postgres)
    try:
        async with run_consumers(pool) as server, asyncio.timeout(10):
            await server.put(make_event(type="help"))
            async with admin.transaction():
                await admin.execute("LOCK TABLE student_states IN EXCLUSIVE MODE")
                answer = asyncio.create_task(server.put(*events))
                while not (pid := await admin.fetchval(waiting)):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                assert await admin.fetchval("SELECT pg_terminate_backend($1)", pid)
            assert (await answer).stored == 5
            assert server.ledger.counts().stored == 6
    finally:
        await admin.close()
    assert await stored_ids(pool) == ids_of(*events)


async def test_closing_waits_for_what_is_pending(pool: asyncpg.Pool) -> None:
    async with run_consumers(pool) as server:
        receipts = [server.queue.put(Payload([make_event()], []), 1) for _ in range(60)]
        server.queue.closed = True
        assert await server.queue.wait_drained(5)
        assert server.queue.events == 0
        assert [(await receipt).stored for receipt in receipts] == [1] * 60
        with pytest.raises(QueueFull, match="stopping"):
            server.queue.put(Payload([make_event()], []), 1)


async def test_stopping_answers_those_who_wait(pool: asyncpg.Pool, postgres: Address) -> None:
    admin = await asyncpg.connect(**postgres)
    try:
        async with run_consumers(pool) as server, admin.transaction():
            await admin.execute("LOCK TABLE student_states IN EXCLUSIVE MODE")
            answer = server.queue.put(Payload([make_event()], []), 1)
            await asyncio.sleep(0.2)
            await server.consumers.stop(0)
            with pytest.raises(Unavailable):
                await asyncio.wait_for(answer, 2)
    finally:
        await admin.close()


async def test_a_connection_that_was_told_to_end_costs_no_event(pool: asyncpg.Pool) -> None:
    fields = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"
    event = make_event()
    async with run_consumers(pool) as server:
        await server.put(make_event(type="help"))
        async with pool.acquire() as connection:
            message = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields
            connection._protocol.data_received(message)
        receipt = await server.put(event)
    assert (receipt.stored, receipt.rejected) == (1, [])
    assert await stored_ids(pool) == ids_of(event)


async def test_what_is_spooled_comes_in_though_postgresql_is_slow(
    pool: asyncpg.Pool, postgres: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.pipeline.spool.drain._COMMIT_TIMEOUT", 1.0)
    await pool.execute(
        "CREATE FUNCTION doze() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END'"
    )
    await pool.execute(
        "CREATE TRIGGER slow BEFORE INSERT ON cell_executions FOR EACH ROW EXECUTE FUNCTION doze()"
    )
    hasty = await open_pool(postgres, 3, 0.5)
    events = [make_event() for _ in range(60)]
    async with run_consumers(hasty) as server, asyncio.timeout(30):
        await server.spool.append([Payload([event], []) for event in events])
        server.drain.activate(Unavailable("for the test"))
        while server.spool.events:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        assert server.ledger.counts().stored == 60
    await close_pool(hasty, 5)
    assert await stored_ids(pool) == ids_of(*events)


async def test_a_full_disk_holds_up_no_event_once_postgresql_is_back(pool: asyncpg.Pool) -> None:
    spooled, event = make_event(), make_event()
    async with run_consumers(pool) as server:
        await server.spool.append([Payload([spooled], [])])
        with no_more_disk(server.spool_files[-1]):
            server.drain.activate(Unavailable("for the test"))
            await eventually(lambda: not server.drain.active)
            assert (await server.put(event)).stored == 1
            await eventually(lambda: not server.spool.events)
        account = server.ledger.counts()
        assert (account.stored, account.duplicates, account.spooled) == (2, 0, 0)
    assert await stored_ids(pool) == ids_of(spooled, event)
    assert await pool.fetchval("SELECT sum(stored) FROM ledger") == 2


async def test_a_data_dir_that_was_removed_is_a_full_spool(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path / "data", 1_000_000)
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(SpoolFull, match="data"):
        await spool.append([Payload([make_event()], [])])
    assert spool.failure
    await spool.close()


async def test_a_batch_committed_in_part_and_spooled_is_published_once(
    pool: asyncpg.Pool, postgres: Address
) -> None:
    good, poison = make_event(), make_event(metadata=POISON)
    admin = await asyncpg.connect(**postgres)
    try:
        async with run_consumers(pool, timeout=1.0) as server:
            async with admin.transaction():
                await admin.execute("LOCK TABLE rejected_events IN EXCLUSIVE MODE")
                assert (await server.put(good, poison)).spooled == 2
                assert await stored_ids(pool) == ids_of(good)
                assert server.published == []
            await eventually(lambda: not server.spool.events)
            assert server.ledger.counts() == Counts(2, 1, 0, 1, 0, 0)
    finally:
        await admin.close()
    assert [stored.events[0].id for stored in server.published] == [good.id]


async def test_a_batch_committed_in_part_and_refused_is_published(
    pool: asyncpg.Pool, postgres: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.pipeline.spool.entries._RESERVED_BYTES", 2**62)
    good, poison = make_event(), make_event(metadata=POISON)
    admin = await asyncpg.connect(**postgres)
    try:
        async with run_consumers(pool, timeout=1.0) as server, admin.transaction():
            await admin.execute("LOCK TABLE rejected_events IN EXCLUSIVE MODE")
            with pytest.raises(SpoolFull):
                await server.put(good, poison)
            await eventually(lambda: bool(server.published))
    finally:
        await admin.close()
    assert [stored.events for stored in server.published] == [[good]]


async def test_the_spool_leaves_the_disk_what_it_takes_to_empty_it(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with run_consumers(pool) as server:
        await server.spool.append([Payload([make_event()], [])])
        monkeypatch.setattr("monitor.pipeline.spool.entries._RESERVED_BYTES", 2**62)
        with pytest.raises(SpoolFull, match="are free"):
            await server.spool.append([Payload([make_event()], [])])
        server.drain.activate(Unavailable("for the test"))
        await eventually(lambda: not server.spool.events)
        assert server.spool.failure
        monkeypatch.undo()
        await eventually(lambda: server.spool.failure is None)


async def _cancel_inside() -> None:
    """Awaits what is cancelled, as code may whose connection breaks at that moment."""
    other = asyncio.get_running_loop().create_future()
    other.cancel()
    await other


async def test_a_cancellation_inside_a_store_does_not_end_the_consumers(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled = 0

    async def write(sink: PostgresSink, events: list[Event], deadline: float) -> Stored:
        nonlocal cancelled
        if cancelled < 4:
            cancelled += 1
            await _cancel_inside()
        return await real(sink, events, deadline)

    real = PostgresSink.write
    monkeypatch.setattr(PostgresSink, "write", write)
    async with run_consumers(pool) as server:
        for _ in range(4):
            with pytest.raises(Unavailable):
                await server.put(make_event())
        assert (await server.put(make_event())).stored == 1
        assert await server.consumers.health() == ConsumersHealth("ok", alive=2)
        assert server.ledger.counts() == Counts(1, 1, 0, 0, 0, 0)
        assert (server.queue.events, server.queue.bytes) == (0, 0)


async def test_health_says_how_many_consumers_have_ended(pool: asyncpg.Pool) -> None:
    async with run_consumers(pool) as server:
        for alive, state in ((1, "degraded"), (0, "down")):
            task = next(
                each for each in asyncio.all_tasks() if each.get_name() == f"Consumer {alive + 1}"
            )
            task.cancel()
            await asyncio.wait([task])
            report = await server.consumers.health()
            assert (report.state, report.alive) == (state, alive)
            assert report.error == f"{alive} of 2 consumers run: restart the server"


async def test_a_batch_that_can_not_be_published_does_not_end_the_consumers(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with run_consumers(pool) as server:
        monkeypatch.setattr(server.consumers, "_publish", {}.__getitem__)
        for _ in range(4):
            assert (await server.put(make_event())).stored == 1
        assert (await server.consumers.health()).alive == 2
