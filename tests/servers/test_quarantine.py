"""Quarantine: entries that a healthy PostgreSQL refuses block no others, and are reported."""

import asyncio

import asyncpg
import msgspec
import pytest

from monitor.events.decoding import EVENT_DIALECTS, decode
from monitor.events.event import Event, Payload
from monitor.health import Counts
from monitor.pipeline.spool import drain, quarantine
from tests.support.consumers import RunningConsumers, ids_of, run_consumers, stored_ids
from tests.support.factories import make_event, now
from tests.support.waiting import eventually

# As an operator may have made one; PostgreSQL's own errors of both kinds look the same.
TRIGGER = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.code = 'odd' THEN RAISE EXCEPTION 'an odd one' USING ERRCODE = '{code}'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON cell_executions FOR EACH ROW EXECUTE FUNCTION refuse()
"""


@pytest.fixture(autouse=True)
def _haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "_COMMIT_TIMEOUT", 1.0)
    monkeypatch.setattr(drain, "_MAX_COMMIT_TIMEOUT", 1.0)
    monkeypatch.setattr(drain, "_MAX_BACKOFF", 0.1)
    monkeypatch.setattr(quarantine, "_MIN_FAILING_TIME", 0.0)
    monkeypatch.setattr(quarantine, "_MAX_FAILURES", 2)


async def store_while_draining(server: RunningConsumers) -> list[Event]:
    """The events that were stored meanwhile, as a class goes on."""
    live = []
    async with asyncio.timeout(60):
        while server.spool.events:
            live.append(make_event())
            await server.put(live[-1])
            await asyncio.sleep(0.05)
    return live


@pytest.mark.parametrize("code", ["P0001", "53400"])
async def test_repeatedly_refused_event_becomes_dead_letter(pool: asyncpg.Pool, code: str) -> None:
    await pool.execute(TRIGGER.format(code=code))
    first, second, third, last = (make_event() for _ in range(4))
    odd = [make_event(code="odd") for _ in range(3)]
    async with run_consumers(pool) as server:
        await server.spool.append(
            [
                Payload([odd[0]], []),
                Payload([first, odd[1], second], []),
                Payload([third], []),
                Payload([odd[2]], []),
                Payload([last], []),
            ]
        )
        server.drain.activate(RuntimeError("for the test"))
        live = await store_while_draining(server)
        account = server.ledger.counts()
    assert (account.stored, account.rejected) == (4 + len(live), 3)
    assert await stored_ids(pool) == ids_of(first, second, third, last, *live)
    assert await pool.fetchval("SELECT sum(rejected) FROM ledger") == 3
    letters = await pool.fetch("SELECT raw FROM rejected_events WHERE reason LIKE '%an odd one%'")
    items = decode(
        f"[{','.join(letter['raw'] for letter in letters)}]".encode(), now(), 9, EVENT_DIALECTS
    )
    assert ids_of(*items.events) == ids_of(*odd)


async def test_what_another_version_has_spooled_becomes_dead_letters(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    forms = iter([[[{"of": "yore"}, {"n": 2}], []], "nothing", [[], [], 3]])

    def encode(payload: Payload) -> bytes:
        return msgspec.msgpack.encode(next(forms))

    event = make_event()
    async with run_consumers(pool) as server:
        with monkeypatch.context() as patch:
            patch.setattr("monitor.pipeline.spool.entries.encode", encode)
            await server.spool.append([Payload([make_event(), make_event()], []) for _ in range(3)])
        await server.spool.append([Payload([event], [])])
        server.drain.activate(RuntimeError("for the test"))
        await eventually(lambda: not server.spool.events)
        account = server.ledger.counts()
    assert account == Counts(0, 1, 0, 6, 0, 0)
    assert await stored_ids(pool) == ids_of(event)
    raw = [row["raw"] for row in await pool.fetch("SELECT raw FROM rejected_events")]
    assert {'{"of":"yore"}', '{"n":2}', msgspec.msgpack.encode("nothing").hex()} <= set(raw)
