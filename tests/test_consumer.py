"""Consumers between a queue and a real PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from monitor.errors import QueueFull, Unavailable
from monitor.events import Event, Rejected
from monitor.pipeline.batch import EventQueue, Receipt
from monitor.pipeline.consumer import Consumers, Limits
from monitor.pipeline.postgres import PostgresSink, Stored
from monitor.pipeline.references import References
from tests.conftest import Address
from tests.made import made

POISON = '{"n":1e200000}'


class Running:
    """A queue with its consumers, and what they have published."""

    def __init__(self, pool: asyncpg.Pool, patience: float) -> None:
        self.published: list[Stored] = []
        self.queue = EventQueue(100, 10_000)
        self.consumers = Consumers(
            self.queue,
            PostgresSink(pool, References(1_000)),
            self.publish,
            Limits(50, 0.01, patience),
        )

    def publish(self, stored: Stored) -> None:
        self.published.append(stored)

    async def put(self, *events: Event, size: int = 1) -> Receipt:
        return await asyncio.wait_for(self.queue.put(list(events), [], size), 10)


@asynccontextmanager
async def running(pool: asyncpg.Pool, patience: float = 5.0) -> AsyncIterator[Running]:
    started = Running(pool, patience)
    started.consumers.start(2)
    try:
        yield started
    finally:
        await started.consumers.stop()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def stored_ids(pool: asyncpg.Pool) -> list[str]:
    rows = await pool.fetch("SELECT event_id FROM cell_executions")
    return sorted(str(row["event_id"]) for row in rows)


def ids(*events: Event) -> list[str]:
    return sorted(str(event.id) for event in events)


async def test_only_the_poison_among_good_events_is_rejected(pool: asyncpg.Pool) -> None:
    good, poison = [made() for _ in range(9)], made(metadata=POISON, code="花")
    async with running(pool) as server:
        receipts = await asyncio.gather(
            server.put(*good[:3]), server.put(*good[3:5], poison, *good[5:7]), server.put(*good[7:])
        )
        assert [receipt.stored for receipt in receipts] == [3, 4, 2]
        assert [len(receipt.rejected) for receipt in receipts] == [0, 1, 0]
        assert receipts[1].rejected[0].index == 2
        assert (server.consumers.ledger.stored, server.consumers.ledger.rejected) == (9, 1)
        await eventually(lambda: sum(len(each.events) for each in server.published) == 9)
    assert await stored_ids(pool) == ids(*good)
    (letter,) = await pool.fetch("SELECT source, reason, raw FROM rejected_events")
    assert letter["source"] == "ingest"
    assert letter["reason"]
    raw = json.loads(letter["raw"])
    assert (raw["eventId"], raw["code"]) == (str(poison.id), "花")
    assert json.dumps(raw["metadata"]) == json.dumps(json.loads(POISON))


async def test_the_index_of_a_refused_event_is_its_place_in_the_request(
    pool: asyncpg.Pool,
) -> None:
    no_event = Rejected(0, "eventType", "missing", "{}")
    events = [made(), made(metadata=POISON)]
    async with running(pool) as server:
        receipt = await server.queue.put(events, [no_event], 1)
    assert [item.index for item in receipt.rejected] == [0, 2]
    assert receipt.stored == 1
    assert await pool.fetchval("SELECT count(*) FROM rejected_events") == 2


async def test_poison_that_is_sent_again_is_recorded_once(pool: asyncpg.Pool) -> None:
    poison = made(metadata=POISON)
    async with running(pool) as server:
        for _ in range(2):
            assert len((await server.put(poison)).rejected) == 1
    assert await pool.fetchval("SELECT count(*) FROM rejected_events") == 1


async def test_each_request_is_told_of_its_own_duplicates(pool: asyncpg.Pool) -> None:
    event, other = made(), made()
    async with running(pool) as server:
        await server.put(event)
        copy = made(id=event.id, time=event.time)
        receipts = await asyncio.gather(server.put(copy, other), server.put(made()))
    assert [(each.stored, each.duplicates) for each in receipts] == [(1, 1), (1, 0)]


async def test_a_full_queue_refuses_by_events_and_by_bytes() -> None:
    queue = EventQueue(3, 100)
    queue.put([made(), made()], [], 10)
    with pytest.raises(QueueFull, match="2 events"):
        queue.put([made(), made()], [], 10)
    with pytest.raises(QueueFull, match="10 bytes"):
        queue.put([made()], [], 91)
    queue.put([made()], [], 90)
    assert queue.full
    (one, other) = await queue.take(10, 0)
    queue.release(one)
    assert not queue.full
    queue.put([made()], [], 10)
    queue.release(other)
    assert queue.events == 1


async def test_without_postgresql_requests_are_put_off_and_later_stored(
    pool: asyncpg.Pool, postgres: Address, postgres_server: Address
) -> None:
    name, event = postgres["database"], made()
    admin = await asyncpg.connect(**postgres_server)
    try:
        async with running(pool, patience=0.3) as server:
            await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
            )
            for _ in range(3):
                with pytest.raises(Unavailable):
                    await server.put(event)
            assert server.consumers.alive == 2
            assert (server.queue.events, server.queue.bytes) == (0, 0)
            await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            assert (await server.put(event)).stored == 1
    finally:
        await admin.close()
    assert await stored_ids(pool) == ids(event)


async def test_without_a_server_at_its_address_requests_are_put_off(unused_port: int) -> None:
    async with (
        asyncpg.create_pool(host="127.0.0.1", port=unused_port, user="x", min_size=0) as closed,
        running(closed, patience=0.2) as server,
    ):
        with pytest.raises(Unavailable):
            await server.put(made())
        assert server.consumers.alive == 2


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
    events = [made() for _ in range(5)]
    admin = await asyncpg.connect(**postgres)
    try:
        async with running(pool) as server, asyncio.timeout(10):
            await server.put(made(type="help"))
            async with admin.transaction():
                await admin.execute("LOCK TABLE students IN EXCLUSIVE MODE")
                answer = asyncio.create_task(server.put(*events))
                while not (pid := await admin.fetchval(waiting)):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                assert await admin.fetchval("SELECT pg_terminate_backend($1)", pid)
            assert (await answer).stored == 5
            assert server.consumers.ledger.stored == 6
    finally:
        await admin.close()
    assert await stored_ids(pool) == ids(*events)


async def test_a_failure_to_publish_stops_nothing(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Running, stored: Stored) -> None:
        raise RuntimeError("no dashboard today")

    monkeypatch.setattr(Running, "publish", fail)
    async with running(pool) as server:
        for _ in range(4):
            assert (await server.put(made())).stored == 1
        assert server.consumers.alive == 2


async def test_closing_waits_for_what_is_pending(pool: asyncpg.Pool) -> None:
    async with running(pool) as server:
        receipts = [server.queue.put([made()], [], 1) for _ in range(60)]
        await server.queue.close(5)
        assert server.queue.events == 0
        assert [(await receipt).stored for receipt in receipts] == [1] * 60
        with pytest.raises(QueueFull, match="stopping"):
            server.queue.put([made()], [], 1)


async def test_closing_gives_up_after_its_patience() -> None:
    queue = EventQueue(10, 10)
    queue.put([made()], [], 1)
    async with asyncio.timeout(2):
        await queue.close(0.05)
    assert queue.events == 1


async def test_stopping_answers_those_who_wait(pool: asyncpg.Pool, postgres: Address) -> None:
    admin = await asyncpg.connect(**postgres)
    try:
        async with running(pool) as server, admin.transaction():
            await admin.execute("LOCK TABLE students IN EXCLUSIVE MODE")
            answer = server.queue.put([made()], [], 1)
            await asyncio.sleep(0.2)
            await server.consumers.stop()
            with pytest.raises(Unavailable):
                await asyncio.wait_for(answer, 2)
    finally:
        await admin.close()
