"""Handlers of custom types of event, from outside the package."""

import asyncio
import re
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import httpx
import pytest
import tenacity

from monitor import Handlers
from monitor.database.dead_letters import DeadLetters
from monitor.database.pool import close_pool, open_pool, open_single_use_pool
from monitor.errors import HandlersError
from monitor.events.decoding import decode
from monitor.events.dialects import as_json
from monitor.events.event import Event, Rejected, Source
from monitor.pipeline import handler_runner
from monitor.pipeline.handler_runner import HandlerRunner
from monitor.pipeline.handlers import Handler, full_name
from monitor.pipeline.id_cache import IdCache
from monitor.pipeline.postgres import PostgresSink
from tests.support.factories import deadline_soon, make_event
from tests.support.postgres import Address
from tests.support.replicas import Replica
from tests.support.waiting import eventually

RETRIES = 3
REPLICA = uuid.uuid4()


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler_runner.with_retry, "wait", tenacity.wait_none())


@pytest.fixture
async def handler_pool(postgres: Address) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_single_use_pool(postgres, 3, 5.0)
    yield pool
    await close_pool(pool, 5.0)


@asynccontextmanager
async def running(
    handlers: Handlers, pool: asyncpg.Pool, handler_pool: asyncpg.Pool
) -> AsyncIterator[HandlerRunner]:
    """All handlers have run, and their failures are recorded, when this ends."""
    runner = HandlerRunner(handlers, pool, handler_pool, DeadLetters(pool, REPLICA))
    await runner.start()
    try:
        yield runner
        async with asyncio.timeout(30):
            while await pool.fetchval("SELECT count(*) FROM outbox_handlers"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        await runner.stop(deadline_soon(5))


async def stored(pool: asyncpg.Pool, handlers: Handlers, event: Event) -> Event:
    sink = PostgresSink(pool, IdCache(10), REPLICA, has_influx=False, handlers=handlers)
    await sink.write([event], deadline_soon())
    return event


async def letters(pool: asyncpg.Pool) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await pool.fetch("SELECT * FROM rejected_events")
    return rows


async def test_handler_runs_after_commit_and_its_work_is_kept(
    pool: asyncpg.Pool,
    handler_pool: asyncpg.Pool,
) -> None:
    handlers = Handlers()

    @handlers.on("quiz_answered")
    async def quiz_answered(event: Event, connection: asyncpg.Connection) -> None:
        assert connection.is_in_transaction()
        query = "INSERT INTO quizzes SELECT event_id FROM events WHERE event_id = $1"
        await connection.execute(query, event.id)

    await pool.execute("CREATE TABLE quizzes (id uuid)")
    async with running(handlers, pool, handler_pool) as runner:
        event = await stored(pool, handlers, make_event(type="quiz_answered"))
        runner.wake([event, await stored(pool, handlers, make_event(type="other"))])
    assert [row["id"] for row in await pool.fetch("SELECT id FROM quizzes")] == [event.id]
    assert await letters(pool) == []


async def test_a_handler_that_fails_three_times_is_run_once_more(
    pool: asyncpg.Pool, handler_pool: asyncpg.Pool
) -> None:
    handlers, runs = Handlers(), []

    @handlers.on("quiz")
    async def unlucky(event: Event, connection: asyncpg.Connection) -> None:
        runs.append(event)
        await connection.execute("CREATE TABLE traces ()")
        if len(runs) <= RETRIES:
            raise ConnectionError("not yet")

    async with running(handlers, pool, handler_pool) as runner:
        runner.wake([await stored(pool, handlers, make_event(type="quiz"))])
    assert len(runs) == 1 + RETRIES
    assert await letters(pool) == []
    assert await pool.fetchval("SELECT to_regclass('traces')") is not None


async def test_failing_handler_becomes_dead_letter(
    pool: asyncpg.Pool,
    handler_pool: asyncpg.Pool,
) -> None:
    handlers, runs, later = Handlers(), [], []

    @handlers.on("quiz")
    async def hopeless(event: Event, connection: asyncpg.Connection) -> None:
        runs.append(event)
        await connection.execute("CREATE TABLE traces ()")
        raise ValueError("no such quiz")

    @handlers.on("quiz")
    @handlers.on("exam")
    async def fine(event: Event, connection: asyncpg.Connection) -> None:
        later.append(event.type)

    event = await stored(pool, handlers, make_event(type="quiz"))
    async with running(handlers, pool, handler_pool) as runner:
        runner.wake([event, await stored(pool, handlers, make_event(type="exam"))])
    assert len(runs) == 1 + RETRIES
    assert later == ["quiz", "exam"]
    (letter,) = await letters(pool)
    assert letter["source"] == "handler"
    assert (letter["path"], letter["reason"]) == (full_name(hopeless), "ValueError: no such quiz")
    (again,) = decode(f"[{letter['raw']}]".encode(), event.received_at, 1).events
    assert again.id == event.id
    assert await pool.fetchval("SELECT count(*) FROM events") == 2
    assert await pool.fetchval("SELECT to_regclass('traces')") is None


async def test_each_handler_of_an_event_that_fails_has_a_dead_letter_of_its_own(
    pool: asyncpg.Pool, handler_pool: asyncpg.Pool
) -> None:
    handlers, runs = Handlers(), []

    def register(module: str) -> None:
        async def answered(event: Event, connection: asyncpg.Connection) -> None:
            runs.append(module)
            raise ValueError("not today")

        answered.__module__ = module
        handlers.on("quiz")(answered)

    register("quizzes")
    register("exams")
    event = await stored(pool, handlers, make_event(type="quiz"))
    async with running(handlers, pool, handler_pool) as runner:
        pass
    first, second = sorted(await letters(pool), key=lambda letter: letter["id"])
    runs.clear()
    for letter in (first, second):
        with pytest.raises(HandlersError, match="not today"):
            await runner.replay(letter["id"], letter["path"], event)
    assert runs == ["quizzes", "exams"]


async def test_a_failure_is_forgotten_where_another_replica_succeeds(
    postgres: Address,
    pool: asyncpg.Pool,
    handler_pool: asyncpg.Pool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handler_runner, "_SWEEP_INTERVAL", 0.05)
    handlers, runs = Handlers(), 0
    narrow_pool = await open_pool(postgres, 1, 10.0)
    failing = HandlerRunner(handlers, narrow_pool, handler_pool, DeadLetters(narrow_pool, REPLICA))
    async with AsyncExitStack() as held:

        @handlers.on("quiz")
        async def unlucky(event: Event, connection: asyncpg.Connection) -> None:
            nonlocal runs
            runs += 1
            if runs == 1 + RETRIES:  # the dead letter waits for the only connection
                await held.enter_async_context(narrow_pool.acquire())
            if runs <= 1 + RETRIES:
                raise ValueError("not on this replica")

        await stored(pool, handlers, make_event(type="quiz"))
        await failing.start()
        await eventually(lambda: runs == 1 + RETRIES)
        async with running(handlers, pool, handler_pool):
            pass
    await failing.stop(deadline_soon(5))
    await close_pool(narrow_pool, 5.0)
    assert runs == 1 + RETRIES + 1
    assert await letters(pool) == []


async def test_unreadable_outbox_event_becomes_dead_letter(
    pool: asyncpg.Pool,
    handler_pool: asyncpg.Pool,
) -> None:
    handlers, seen = Handlers(), []

    @handlers.on("quiz")
    async def fine(event: Event, connection: asyncpg.Connection) -> None:
        seen.append(event.class_id)

    await stored(pool, handlers, make_event(type="quiz"))
    await pool.execute("""UPDATE outbox_handlers SET event = '{"from": "another version"}'""")
    await pool.execute("INSERT INTO classes (id, class_code, name) VALUES (7, 'c', 'c')")
    await stored(pool, handlers, make_event(type="quiz", source=Source("key 1", 7)))
    async with running(handlers, pool, handler_pool):
        pass
    assert seen == [7]
    (letter,) = await letters(pool)
    assert (letter["path"], letter["raw"]) == (full_name(fine), '{"from": "another version"}')


async def test_that_postgresql_went_away_is_not_the_handlers_fault(
    pool: asyncpg.Pool, handler_pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler_runner, "_RETRY_INTERVAL", 0.01)
    handlers, runs = Handlers(), 0

    @handlers.on("quiz")
    async def cut_off(event: Event, connection: asyncpg.Connection) -> None:
        nonlocal runs
        runs += 1
        if runs <= 2 * (1 + RETRIES):
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    await stored(pool, handlers, make_event(type="quiz"))
    async with running(handlers, pool, handler_pool):
        pass
    assert runs == 2 * (1 + RETRIES) + 1
    assert await letters(pool) == []


async def test_failing_handler_commit_becomes_dead_letter(
    pool: asyncpg.Pool,
    handler_pool: asyncpg.Pool,
) -> None:
    handlers, later = Handlers(), []
    await pool.execute("CREATE TABLE once (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")

    @handlers.on("quiz")
    async def twice(event: Event, connection: asyncpg.Connection) -> None:
        await connection.execute("INSERT INTO once VALUES (1), (1)")

    @handlers.on("exam")
    async def fine(event: Event, connection: asyncpg.Connection) -> None:
        later.append(event)

    await stored(pool, handlers, make_event(type="quiz"))
    await stored(pool, handlers, make_event(type="exam"))
    async with running(handlers, pool, handler_pool):
        pass
    assert len(later) == 1
    (letter,) = await letters(pool)
    assert letter["reason"].startswith("UniqueViolationError")


async def test_events_unhandled_at_crash_are_handled_once_later(
    pool: asyncpg.Pool,
    handler_pool: asyncpg.Pool,
) -> None:
    handlers, begun = Handlers(), 0

    @handlers.on("quiz")
    async def slow(event: Event, connection: asyncpg.Connection) -> None:
        nonlocal begun
        begun += 1
        await connection.execute("INSERT INTO quizzes VALUES ($1)", event.id)
        if begun == 1:
            await asyncio.Future()

    await pool.execute("CREATE TABLE quizzes (id uuid)")
    events = [await stored(pool, handlers, make_event(type="quiz")) for _ in range(3)]
    crashed = HandlerRunner(handlers, pool, handler_pool, DeadLetters(pool, REPLICA))
    await crashed.start()
    while not begun:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await crashed.stop(0)
    async with running(handlers, pool, handler_pool), running(handlers, pool, handler_pool):
        pass
    ids = [row["id"] for row in await pool.fetch("SELECT id FROM quizzes")]
    assert sorted(ids) == sorted(event.id for event in events)
    assert begun == 1 + 3


async def exits(event: Event, connection: asyncpg.Connection) -> None:
    sys.exit(3)


async def cancels(event: Event, connection: asyncpg.Connection) -> None:
    raise asyncio.CancelledError


async def closes(event: Event, connection: asyncpg.Connection) -> None:
    await connection.close()


async def suppresses(event: Event, connection: asyncpg.Connection) -> None:
    with suppress(asyncpg.PostgresError):
        await connection.execute("SELECT 1 / 0")


async def rolls_back(event: Event, connection: asyncpg.Connection) -> None:
    await connection.execute("ROLLBACK")


async def leaves_a_task(event: Event, connection: asyncpg.Connection) -> None:
    asyncio.get_running_loop().create_task(connection.execute("SELECT pg_sleep(0.3)"))
    await asyncio.sleep(0.1)


async def raises_unprintable(event: Event, connection: asyncpg.Connection) -> None:
    raise ValueError("\0 and \udc80")


async def blocks(event: Event, connection: asyncpg.Connection) -> None:
    await asyncio.Future()


async def ignores_its_end(event: Event, connection: asyncpg.Connection) -> None:
    end = asyncio.get_running_loop().time() + 3
    while (now := asyncio.get_running_loop().time()) < end:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(end - now)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (exits, "SystemExit: 3"),
        (cancels, "CancelledError: "),
        (closes, "InterfaceError: cannot call Connection.execute()"),
        (suppresses, "InFailedSQLTransactionError: current transaction is aborted"),
        (rolls_back, "InterfaceError: the handler has ended its transaction itself"),
        (leaves_a_task, "InterfaceError: cannot perform operation"),
        (raises_unprintable, "ValueError: \ufffd and ?"),
        (blocks, "TimeoutError: it ran for more than 0.4 s"),
        (ignores_its_end, "TimeoutError: it ran for more than 0.4 s"),
    ],
)
async def test_however_a_handler_fails_it_is_a_dead_letter_and_others_run(
    pool: asyncpg.Pool,
    handler_pool: asyncpg.Pool,
    monkeypatch: pytest.MonkeyPatch,
    bad: Handler,
    reason: str,
) -> None:
    monkeypatch.setattr(handler_runner, "_RUN_TIMEOUT", 0.4)
    monkeypatch.setattr(handler_runner, "_END_TIMEOUT", 0.1)
    handlers, later = Handlers(), []
    handlers.on("bad")(bad)

    @handlers.on("exam")
    async def fine(event: Event, connection: asyncpg.Connection) -> None:
        later.append(event.type)

    event = await stored(pool, handlers, make_event(type="bad"))
    await stored(pool, handlers, make_event(type="exam"))
    async with running(handlers, pool, handler_pool) as runner:
        pass
    assert later == ["exam"]
    (letter,) = await letters(pool)
    assert letter["reason"].startswith(reason)
    with pytest.raises(HandlersError, match=re.escape(reason)):
        await runner.replay(letter["id"], full_name(bad), event)
    assert await letters(pool) == [letter]


async def test_the_stop_does_not_run_a_handler_again_that_ignores_its_end(
    pool: asyncpg.Pool, handler_pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler_runner, "_END_TIMEOUT", 0.1)
    handlers, runs = Handlers(), []

    @handlers.on("quiz")
    async def stubborn(event: Event, connection: asyncpg.Connection) -> None:
        runs.append(event)
        await ignores_its_end(event, connection)

    await stored(pool, handlers, make_event(type="quiz"))
    runner = HandlerRunner(handlers, pool, handler_pool, DeadLetters(pool, REPLICA))
    await runner.start()
    await eventually(lambda: runs)
    async with asyncio.timeout(2):
        await runner.stop(deadline_soon(0))
    assert len(runs) == 1
    assert await pool.fetchval("SELECT count(*) FROM outbox_handlers") == 1


async def test_a_handler_that_cannot_be_run_now_does_not_hold_up_others(
    pool: asyncpg.Pool, handler_pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler_runner, "_RETRY_INTERVAL", 0.01)
    handlers = Handlers()
    later: list[str] = []

    @handlers.on("quiz")
    async def cut_off(event: Event, connection: asyncpg.Connection) -> None:
        if not later:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    @handlers.on("exam")
    async def fine(event: Event, connection: asyncpg.Connection) -> None:
        later.append(event.type)

    await stored(pool, handlers, make_event(type="quiz"))
    await stored(pool, handlers, make_event(type="exam"))
    async with running(handlers, pool, handler_pool):
        pass
    assert later == ["exam"]
    assert await letters(pool) == []


async def test_session_state_ends_with_a_handlers_run(
    pool: asyncpg.Pool, handler_pool: asyncpg.Pool
) -> None:
    handlers, seen = Handlers(), []

    @handlers.on("careless")
    async def careless(event: Event, connection: asyncpg.Connection) -> None:
        await connection.set_type_codec(
            "int8", schema="pg_catalog", encoder=str, decoder=lambda text: "changed", format="text"
        )
        await connection.execute("CREATE TEMP TABLE students ()")
        await connection.execute("SET synchronous_commit = off")
        await connection.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        await connection.execute("SELECT pg_advisory_lock(7)")
        assert await connection.fetchval("SELECT 1::bigint") == "changed"

    @handlers.on("probe")
    async def probe(event: Event, connection: asyncpg.Connection) -> None:
        seen.append(await state_of(connection))

    await stored(pool, handlers, make_event(type="careless"))
    await stored(pool, handlers, make_event(type="probe"))
    async with running(handlers, pool, handler_pool) as runner:
        pass
    event = await stored(pool, Handlers(), make_event(type="probe"))
    letter = Rejected(0, full_name(probe), "for the test", as_json(event))
    await DeadLetters(pool, REPLICA).add("handler", [letter], deadline_soon())
    await runner.replay((await letters(pool))[0]["id"], full_name(probe), event)
    async with pool.acquire() as connection:
        usual = await state_of(connection)
    assert seen == [usual, usual]
    assert usual[:3] == (1, "on", "off")
    assert await letters(pool) == []


async def state_of(connection: asyncpg.Connection) -> tuple[object, ...]:
    return (
        await connection.fetchval("SELECT 1::bigint"),
        await connection.fetchval("SHOW synchronous_commit"),
        await connection.fetchval("SHOW default_transaction_read_only"),
        await connection.fetchval("SELECT to_regclass('students')::text = 'students'"),
        await connection.fetchval(
            "SELECT relpersistence FROM pg_class WHERE oid = 'students'::regclass"
        ),
        await connection.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        ),
    )


CARELESS = """
from monitor import Handlers

handlers = Handlers()

@handlers.on("careless")
async def careless(event, connection):
    await connection.set_type_codec(
        "int8", schema="pg_catalog", encoder=str, decoder=lambda text: -1, format="text"
    )
    await connection.execute("INSERT INTO runs VALUES ($1)", event.student)
    await connection.execute("CREATE TEMP TABLE students (id int)")
    await connection.execute("SET synchronous_commit = off")
    await connection.execute("SET search_path = pg_catalog")
"""

# Notes how each event is committed.
OBSERVER = """
    CREATE TABLE runs (student text);
    CREATE TABLE commits (settings text);
    CREATE FUNCTION observe() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO public.commits VALUES (concat_ws(' ',
            current_setting('synchronous_commit'), current_setting('search_path')));
        RETURN NEW;
    END $$;
    CREATE TRIGGER observe BEFORE INSERT ON cell_executions
    FOR EACH ROW EXECUTE FUNCTION observe()
"""


async def test_a_careless_handler_changes_nothing_for_later_batches(
    pool: asyncpg.Pool, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "careless.py").write_text(CARELESS)
    await pool.execute(OBSERVER)
    event = {"eventType": "careless", "userId": "hanako"}
    cell = {"eventType": "cell_executed", "userId": "hanako", "notebookPath": "a", "cellId": "b"}
    with Replica(environment | {"HANDLERS": "careless", "PYTHONPATH": str(tmp_path)}) as replica:
        async with httpx.AsyncClient(timeout=15) as client, asyncio.timeout(30):
            for runs in range(1, 4):
                await client.post(replica.events_url, json=[event])
                while await pool.fetchval("SELECT count(*) FROM runs") < runs:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                for _ in range(7):
                    answer = await client.post(replica.events_url, json=[cell])
                    assert answer.json()["stored"] == 1, answer.text
    commits = await pool.fetch("SELECT settings, count(*) FROM commits GROUP BY settings")
    assert [tuple(row) for row in commits] == [('on "$user", public', 21)]
    assert await pool.fetchval("SELECT executions FROM student_states") == 21


async def test_a_repeated_event_is_not_handled_again(pool: asyncpg.Pool) -> None:
    handlers = Handlers()

    @handlers.on("quiz")
    async def quiz(event: Event, connection: asyncpg.Connection) -> None: ...

    event = await stored(pool, handlers, make_event(type="quiz"))
    await stored(pool, handlers, make_event(type="quiz", id=event.id, time=event.time))
    assert await pool.fetchval("SELECT count(*) FROM outbox_handlers") == 1
