"""Slow is not away: who is slow or refused holds up nobody else, and an outage is still seen."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from monitor.database.errors import ConnectionCut
from monitor.database.migrations import SchemaError, migrate
from monitor.database.pool import BY_KEYS, close_pool, cut_at, open_pool
from monitor.errors import Unavailable
from monitor.events.event import Event, Payload, Source
from monitor.pipeline import postgres as sink_module
from tests.support.consumers import ids_of, run_consumers, stored_ids
from tests.support.factories import deadline_soon, make_event, now
from tests.support.postgres import Address
from tests.support.sinks import sink_on
from tests.support.waiting import eventually

SLOW, OTHER = Source(credential="key 1", payer="a"), Source(credential="key 2")
CLASSMATE = Source(credential="key 1", payer="b")

# As an operator may have made one: what says `slow` takes 100 ms each.
TRIGGER = """
    CREATE FUNCTION doze() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.code = 'slow' THEN PERFORM pg_sleep(0.1); END IF;
        IF NEW.code = 'odd' THEN RAISE EXCEPTION 'an odd one' USING ERRCODE = '22000'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER doze BEFORE INSERT ON cell_executions FOR EACH ROW EXECUTE FUNCTION doze()
"""


def events(count: int, source: Source, **fields: Any) -> list[Event]:
    student = source.credential
    return [make_event(source=source, student=student, session="s", **fields) for _ in range(count)]


@pytest.mark.parametrize("other", [OTHER, CLASSMATE])
async def test_a_slow_source_spools_nobody_elses_events(pool: asyncpg.Pool, other: Source) -> None:
    await pool.execute(TRIGGER)
    earlier = now() - timedelta(seconds=1)  # the first attempt inserts them before the slow ones
    slow = events(40, SLOW, code="slow")
    others = [events(1, other, time=earlier) for _ in range(5)]
    async with run_consumers(pool, timeout=2.0) as server:
        receipts = await asyncio.gather(server.put(*slow), *(server.put(*each) for each in others))
        assert receipts[0].spooled == len(slow)
        assert [each.stored for each in receipts[1:]] == [1] * len(others)
        assert not server.drain.active
        later = events(40, SLOW, code="slow")  # stored apart: nobody waits for it
        waiting = asyncio.create_task(server.put(*later))
        await asyncio.sleep(0.05)
        assert (await server.put(*events(1, other))).stored == 1
        assert not waiting.done()
        for _ in range(4):
            assert (await server.put(*events(1, other))).stored == 1
        assert (await waiting).spooled == len(later)
        await eventually(lambda: not server.spool.events, within=60)
        assert server.ledger.counts().stored == 2 * len(slow) + 10
    assert set(ids_of(*slow, *later)) <= set(await stored_ids(pool))


async def test_many_refused_events_of_one_source_spool_nobody_elses(pool: asyncpg.Pool) -> None:
    await pool.execute(TRIGGER)
    odd, others = events(60, SLOW, code="odd"), [events(1, OTHER) for _ in range(5)]
    async with run_consumers(pool, timeout=0.5) as server:
        receipts = await asyncio.gather(server.put(*odd), *(server.put(*each) for each in others))
        assert [each.stored for each in receipts[1:]] == [1] * len(others)
        assert not server.drain.active
        await eventually(lambda: server.ledger.counts().rejected == len(odd), within=60)


async def test_a_flood_of_new_names_by_one_key_spools_no_other_class(
    pool: asyncpg.Pool, postgres: Address
) -> None:
    """5,000 names that nobody knows; one event of another class at a time beside them."""
    by_keys = await open_pool(postgres, 5, 5.0, BY_KEYS)
    ids = await pool.fetch(
        """INSERT INTO classes (class_code, name, max_new_names)
        VALUES ('A', 'a', 100000), ('B', 'b', 100) RETURNING id"""
    )
    flood, other = (Source(credential=f"key {row['id']}", class_id=row["id"]) for row in ids)
    stored = 0
    async with run_consumers(by_keys, timeout=3.0, queue_events=21_000) as server:
        await server.put(*events(1, other))

        async def post(first: int) -> None:
            names = range(first, first + 500)
            invented = [make_event(student=f"n{n}", session=f"s{n}", source=flood) for n in names]
            receipt = await server.queue.put(Payload(invented, []), 1)
            assert receipt.stored + receipt.spooled == 500

        posts = [asyncio.create_task(post(first)) for first in range(0, 5_000, 500)]
        while not all(each.done() for each in posts):
            assert (await server.put(*events(1, other))).stored == 1
            stored += 1
            await asyncio.sleep(0.02)
        await asyncio.gather(*posts, return_exceptions=True)
        assert not server.drain.active
    await close_pool(by_keys, 5.0)
    assert stored


async def test_a_table_that_is_locked_counts_as_away(
    pool: asyncpg.Pool, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_consumers(pool, timeout=1.0) as server:
        async with pool.acquire() as admin, admin.transaction():
            await admin.execute("LOCK TABLE students IN EXCLUSIVE MODE")
            assert (await server.put(make_event())).spooled == 1
            assert "Events go to the spool" in caplog.text
        await eventually(lambda: not server.spool.events)


async def test_a_copy_that_fills_the_socket_ends_at_its_deadline(pool: asyncpg.Pool) -> None:
    """asyncpg never wakes a COPY that waits for room in the socket of a connection that ended."""
    sink, large = sink_on(pool), make_event(output="x" * 5_000_000)
    async with pool.acquire() as admin, admin.transaction():
        await admin.execute("LOCK TABLE cell_executions IN EXCLUSIVE MODE")
        write = asyncio.create_task(sink.write([large], deadline_soon(0.5)))
        await asyncio.wait([write], timeout=5)
        assert isinstance(write.exception(), Unavailable)
    assert len((await sink.write([large], deadline_soon())).events) == 1


async def test_what_is_misconfigured_is_said_and_recovers(
    pool: asyncpg.Pool, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_consumers(pool, timeout=1.0) as server:
        await pool.execute("ALTER TABLE sender_clocks RENAME TO elsewhere")
        assert (await server.put(make_event())).spooled == 1
        assert "migrate" in caplog.text
        await pool.execute("ALTER TABLE elsewhere RENAME TO sender_clocks")
        await eventually(lambda: not server.spool.events)
        assert (await server.put(make_event())).stored == 1


@pytest.mark.parametrize("error", [ValueError, OverflowError, RuntimeError, asyncpg.DataError])
async def test_an_error_on_a_closed_connection_is_no_events_fault(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    async def copy(connection: asyncpg.Connection, rows: object) -> None:
        connection.terminate()
        raise error("while it was being closed")

    sink = sink_on(pool)
    with monkeypatch.context() as patch:
        patch.setattr(sink_module, "copy", copy)
        with pytest.raises(Unavailable):
            await sink.write([make_event()], deadline_soon())
    assert len((await sink.write([make_event()], deadline_soon())).events) == 1


async def test_the_error_of_an_open_connection_stays_what_it_is(pool: asyncpg.Pool) -> None:
    with pytest.raises(ValueError, match="its own"):
        async with cut_at(pool, deadline_soon()):
            raise ValueError("its own")


async def test_what_the_driver_raises_on_a_closed_connection_says_that(pool: asyncpg.Pool) -> None:
    with pytest.raises(ConnectionCut):
        async with cut_at(pool, deadline_soon()) as connection:
            await close_and_fail(connection)


async def close_and_fail(connection: asyncpg.Connection) -> None:
    connection.terminate()
    raise ValueError("of the driver")


async def test_a_database_that_lacks_characters_is_refused(postgres: Address) -> None:
    name = f"{postgres['database']}_euc"
    admin = await asyncpg.connect(**postgres)
    await admin.execute(
        f"CREATE DATABASE {name} ENCODING 'EUC_JP' LOCALE_PROVIDER libc LOCALE 'C'"
        " TEMPLATE template0"
    )
    try:
        connection = await asyncpg.connect(**postgres | {"database": name})
        with pytest.raises(SchemaError, match="encoding is EUC_JP"):
            await migrate(connection)
        await connection.close()
    finally:
        await admin.execute(f"DROP DATABASE {name}")
        await admin.close()
