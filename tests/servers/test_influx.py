"""The sink of points. InfluxDB 1.x is real; of 2.x, which is not to be had, its wire is checked."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from aiohttp import web

from monitor import Handlers
from monitor.database.dead_letters import DeadLetters
from monitor.database.pool import close_pool, open_pool
from monitor.events.event import Event, Source
from monitor.pipeline.id_cache import IdCache
from monitor.pipeline.postgres import PostgresSink
from monitor.timeseries.backfill import lines_between
from monitor.timeseries.influx import InfluxSink, PointBatch
from monitor.timeseries.influx_client import Client, Target
from monitor.timeseries.line_protocol import line
from monitor.timeseries.outbox import PointsOutbox
from tests.support.factories import deadline_soon, make_event, now
from tests.support.postgres import Address
from tests.support.servers import InfluxServer
from tests.support.waiting import eventually

REPLICA = uuid.uuid4()


@asynccontextmanager
async def endpoint(
    answers: list[int], refused: str | None = None
) -> AsyncIterator[tuple[str, list[web.Request], list[bytes]]]:
    """An HTTP server, the requests to it, and their bodies. It answers `answers`, then 204.

    It refuses all lines of a request that contains the `refused` one, as a 2.x server does.
    """
    requests: list[web.Request] = []
    bodies: list[bytes] = []

    async def answer(request: web.Request) -> web.Response:
        requests.append(request)
        bodies.append(await request.read())
        status = answers.pop(0) if answers else 204
        if refused and refused.encode() in bodies[-1]:
            status = 400
        return (
            web.json_response({"message": "because"}, status=status)
            if status != 204
            else (web.Response(status=204))
        )

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}", requests, bodies
    finally:
        await runner.cleanup()


@asynccontextmanager
async def sink_of(
    target: Target, pool: asyncpg.Pool, max_pending: int = 1000
) -> AsyncIterator[InfluxSink]:
    """A sink that has nothing to catch up."""
    sink = InfluxSink(target, PointsOutbox(pool), DeadLetters(pool, REPLICA), max_pending)
    await sink.start()
    try:
        await eventually(lambda: not sink.behind)
        yield sink
    finally:
        await sink.stop(deadline_soon(10))


async def commit(pool: asyncpg.Pool, *events: Event) -> PointBatch:
    """Commits the events, and returns their points."""
    sink = PostgresSink(pool, IdCache(1000), REPLICA, has_influx=True, handlers=Handlers())
    stored = await sink.write(list(events), deadline_soon())
    assert stored.outbox_id is not None
    return PointBatch([line(event) for event in stored.events], stored.outbox_id)


async def outbox_size(pool: asyncpg.Pool) -> int:
    return int(await pool.fetchval("SELECT count(*) FROM outbox_points"))


async def test_a_2x_server_gets_token_organisation_and_bucket(pool: asyncpg.Pool) -> None:
    async with (
        endpoint([]) as (url, requests, bodies),
        sink_of(Target(url, "progress_bucket", "secret", "my-org"), pool) as sink,
    ):
        batch = await commit(pool, make_event(), make_event())
        sink.put(batch)
    (request,) = requests
    assert request.path == "/api/v2/write"
    assert dict(request.query) == {"org": "my-org", "bucket": "progress_bucket", "precision": "ns"}
    assert request.headers["Authorization"] == "Token secret"
    assert bodies == ["\n".join(batch.lines).encode()]
    assert await outbox_size(pool) == 0


async def test_an_error_that_will_pass_is_retried(pool: asyncpg.Pool) -> None:
    async with (
        endpoint([503, 500]) as (url, requests, _),
        sink_of(Target(url, "bucket", "", "my-org"), pool) as sink,
    ):
        sink.put(await commit(pool, make_event()))
        await eventually(lambda: sink.written)
        assert (await sink.health()).error is None
    assert len(requests) == 3
    assert sink.written == 1


async def test_points_are_backfilled_after_outage(
    pool: asyncpg.Pool, influx_server: InfluxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.timeseries.influx._RETRY_INTERVAL", 0.05)
    old = now() - timedelta(hours=5)
    events = [
        make_event(time=old, duration_ms=3.5),
        make_event(type="notebook_opened", cell_type="markdown"),
        make_event(type="help", session=None, notebook=None),
        make_event(type="help", notebook=None, cell=None, metadata='{"cellId": "花 1"}'),
        make_event(cell=None, metadata='{"cellId": 7, "notebookPath": "x"}'),
        make_event(failed=True, cell_type=None, execution_count=None, notebook="別/花 1.ipynb"),
    ]
    expected = {line(event) for event in events}
    async with (
        endpoint([500] * 9) as (url, _, bodies),
        sink_of(Target(url, "bucket", "", "my-org"), pool) as sink,
    ):
        sink.put(await commit(pool, *events[:2]))
        await eventually(sink.health, lambda health: health.error)
        sink.put(await commit(pool, *events[2:]))
        assert sink.pending == 0
        await eventually(lambda: not sink.behind)
        assert (await sink.health()).error is None
    assert set(b"\n".join(bodies[-3:]).decode().split("\n")) == expected
    assert await outbox_size(pool) == 0


async def test_points_of_a_dead_replica_are_written_by_another(
    pool: asyncpg.Pool, influx_server: InfluxServer
) -> None:
    batch = await commit(pool, make_event(), make_event())
    async with (
        endpoint([]) as (url, _, bodies),
        sink_of(Target(url, "bucket", "", "my-org"), pool),
    ):
        pass
    assert sorted(bodies[0].decode().split("\n")) == sorted(batch.lines)
    assert await outbox_size(pool) == 0


async def test_refused_points_become_dead_letters(pool: asyncpg.Pool) -> None:
    class_id = await pool.fetchval(
        "INSERT INTO classes (class_code, name) VALUES ('A', 'A') RETURNING id"
    )
    source = Source(credential="key 1", class_id=class_id)
    events = [make_event(source=source, student="a, b=c") for _ in range(3)]
    guilty = line(events[1])
    async with (
        endpoint([], refused=guilty) as (url, _, bodies),
        sink_of(Target(url, "bucket", "", "my-org"), pool) as sink,
    ):
        batch = await commit(pool, *events)
        sink.put(batch)
    assert {batch.lines[0], batch.lines[2]} <= set(b"\n".join(bodies).decode().split("\n"))
    assert sink.refused == 1
    (letter,) = await pool.fetch("SELECT source, reason, raw, class_id FROM rejected_events")
    assert (letter["source"], letter["raw"]) == ("influxdb", guilty)
    assert letter["class_id"] == class_id
    assert "because" in letter["reason"]
    assert await outbox_size(pool) == 0


async def test_points_older_than_what_influxdb_keeps_are_found_at_once(
    pool: asyncpg.Pool, influx_server: InfluxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real InfluxDB says how many it dropped, and takes the others."""
    requests, write_as_ever = 0, Client.write

    async def write(client: Client, lines: bytes) -> None:
        nonlocal requests
        requests += 1
        await write_as_ever(client, lines)

    monkeypatch.setattr(Client, "write", write)
    bucket = f"kept_{uuid.uuid4().hex}"
    async with httpx.AsyncClient() as client:
        query = {"q": f'CREATE DATABASE "{bucket}" WITH DURATION 30d'}
        (await client.post(f"{influx_server.url}/query", params=query)).raise_for_status()
        events = [make_event(time=now() - timedelta(days=n % 3 * 20)) for n in range(300)]
        async with sink_of(Target(influx_server.url, bucket, "", ""), pool) as sink:
            sink.put(await commit(pool, *events))
        query = {"db": bucket, "q": "SELECT count(executionCount) FROM student_progress"}
        answer = (await client.get(f"{influx_server.url}/query", params=query)).json()
    assert answer["results"][0]["series"][0]["values"][0][1] == 200
    assert (sink.written, sink.refused) == (200, 100)
    letters = await pool.fetch("SELECT raw, reason FROM rejected_events")
    old = sorted(line(event) for event in events[2::3])
    assert sorted(letter["raw"] for letter in letters) == old
    assert all("retention" in letter["reason"] for letter in letters)
    assert requests < 10
    assert await outbox_size(pool) == 0


async def test_many_refused_points_are_caught_up_however_long_it_takes(
    pool: asyncpg.Pool, postgres: Address
) -> None:
    """Each of 300 is refused alone, after bisection: no transaction may be open that long."""
    batches = [await commit(pool, *(make_event() for _ in range(100))) for _ in range(3)]
    hasty = await open_pool(postgres, 2, 5.0, {"idle_in_transaction_session_timeout": "50ms"})
    try:
        async with (
            asyncio.timeout(30),
            endpoint([], refused="student_progress") as (url, requests, _),
            sink_of(Target(url, "bucket", "", "my-org"), hasty) as sink,
        ):
            assert sink.refused == 300
    finally:
        await close_pool(hasty, 5.0)
    assert len(requests) < 700  # none was begun again
    letters = await pool.fetch("SELECT raw FROM rejected_events")
    assert sorted(each["raw"] for each in letters) == sorted(
        text for batch in batches for text in batch.lines
    )
    assert await outbox_size(pool) == 0


async def test_what_was_written_is_not_begun_again(pool: asyncpg.Pool) -> None:
    for _ in range(25):
        await commit(pool, make_event())
    outbox, written = PointsOutbox(pool), list[str]()

    async def write(lines: Sequence[str]) -> None:
        if len(written) == 20:
            raise ConnectionError
        written.extend(lines)

    with pytest.raises(ConnectionError):
        await outbox.catch_up(write, 0)
    assert await outbox_size(pool) == 5
    left = list[str]()

    async def write_on(lines: Sequence[str]) -> None:
        left.extend(lines)

    assert await outbox.catch_up(write_on, 0)  # at once: the lease was given back
    assert len({*written, *left}) == 25
    assert not await outbox.catch_up(write_on, 0)


async def test_batches_of_a_replica_that_died_at_work_are_taken_over(pool: asyncpg.Pool) -> None:
    await commit(pool, make_event())
    lines = list[str]()

    async def write(part: Sequence[str]) -> None:
        lines.extend(part)

    await pool.execute("UPDATE outbox_points SET claimed_at = now() - interval '20 seconds'")
    assert not await PointsOutbox(pool).catch_up(write, 0)
    await pool.execute("UPDATE outbox_points SET claimed_at = now() - interval '40 seconds'")
    assert await PointsOutbox(pool).catch_up(write, 0)
    assert len(lines) == 1
    assert await outbox_size(pool) == 0


async def test_a_slow_write_keeps_its_lease(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.timeseries.outbox._LEASE", 0.6)
    await commit(pool, make_event())
    begun = asyncio.Event()

    async def slowly(lines: Sequence[str]) -> None:
        begun.set()
        await asyncio.sleep(2)

    async def never(lines: Sequence[str]) -> None:
        raise AssertionError("two replicas write the same points")

    working = asyncio.create_task(PointsOutbox(pool).catch_up(slowly, 0))
    await begun.wait()
    while not working.done():
        assert not await PointsOutbox(pool).catch_up(never, 0)
        await asyncio.sleep(0.1)
    assert await working
    assert await outbox_size(pool) == 0


async def test_a_span_of_time_is_read_in_pages(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.timeseries.backfill._MAX_LINES", 2)
    first, last = now() - timedelta(hours=1), now()
    events = [
        make_event(student=f"s{number % 3}", time=first + timedelta(minutes=number), type=kind)
        for number, kind in enumerate(["cell_executed", "notebook_opened", "help"] * 5)
    ]
    await commit(pool, *events, make_event(time=last), make_event(time=first - timedelta(hours=1)))
    pages = [page async for page in lines_between(pool, first, last)]
    assert max(map(len, pages)) == 2
    assert sorted(text for page in pages for text in page) == sorted(map(line, events))


async def test_a_1x_database_is_made_when_it_is_missing(
    pool: asyncpg.Pool, influx_server: InfluxServer
) -> None:
    async with sink_of(Target(influx_server.url, "made_by_the_sink", "", ""), pool) as sink:
        sink.put(await commit(pool, make_event()))
    assert (sink.written, sink.pending) == (1, 0)


async def test_beyond_its_bound_points_are_caught_up_later(pool: asyncpg.Pool) -> None:
    async with (
        endpoint([]) as (url, _, bodies),
        sink_of(Target(url, "bucket", "", "my-org"), pool, max_pending=2) as sink,
    ):
        batch = await commit(pool, make_event(), make_event(), make_event())
        sink.put(batch)
        assert (sink.pending, sink.behind) == (0, True)
    assert sorted(b"\n".join(bodies).decode().split("\n")) == sorted(batch.lines)


async def test_a_busy_replica_writes_what_another_has_left(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.timeseries.influx._SWEEP_INTERVAL", 0.3)
    async with (
        endpoint([]) as (url, _, _),
        sink_of(Target(url, "bucket", "", "my-org"), pool) as sink,
        asyncio.timeout(10),
    ):
        left = await commit(pool, make_event())
        await pool.execute("UPDATE outbox_points SET created_at = now() - interval '1 hour'")
        while await pool.fetchval(
            "SELECT count(*) FROM outbox_points WHERE id = $1", left.outbox_id
        ):
            sink.put(await commit(pool, make_event()))
            await asyncio.sleep(0.05)
        assert (await sink.health()).error is None


async def test_a_batch_during_the_last_look_at_the_outbox_is_written(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with endpoint([]) as (url, _, bodies):
        sink = InfluxSink(
            Target(url, "bucket", "", "my-org"),
            PointsOutbox(pool),
            DeadLetters(pool, REPLICA),
            1000,
        )
        look = PointsOutbox.catch_up

        async def slowly(outbox: PointsOutbox, write: Any, min_age: float) -> bool:
            worked = await look(outbox, write, min_age)
            if not late:
                late.append(await commit(pool, make_event()))
                sink.put(late[0])
            return worked

        late: list[PointBatch] = []
        monkeypatch.setattr(PointsOutbox, "catch_up", slowly)
        await sink.start()
        async with asyncio.timeout(5):
            while not late or await outbox_size(pool):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await sink.stop(deadline_soon(5))
    assert late[0].lines == b"\n".join(bodies).decode().split("\n")
