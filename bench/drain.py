"""How long the spool takes to empty once PostgreSQL is back."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import httpx
import msgspec

from bench.figures import BenchError, Figure
from bench.latency import Poster, event_of
from bench.load import run
from bench.server import Server, directory, monitor
from monitor.database.embedded.server import EmbeddedPostgres

WHAT = "from PostgreSQL's return to an empty spool of 100,000 events"
EVENTS = 100_000
GOAL = 30  # s


@contextmanager
def without_postgres() -> Iterator[tuple[Server, EmbeddedPostgres]]:
    """The server, and its PostgreSQL, which has just stopped."""
    with (
        directory() as place,
        EmbeddedPostgres(place / "postgres") as postgres,
        monitor(POSTGRES_SERVER=postgres.host) as server,
    ):
        postgres.stop()
        yield server, postgres


async def spooled(server: Server) -> int:
    async with httpx.AsyncClient() as client:
        health = (await client.get(f"http://127.0.0.1:{server.port}/health")).json()
    return int(health["spool"]["events"])


async def measure() -> Figure:
    """One event per request, which makes the most rows in the spool."""
    with without_postgres() as (server, postgres):
        first = msgspec.json.encode([event_of(str(uuid.uuid4()), 0)])
        await Poster(server.port).post(first)  # answered once PostgreSQL is known to be down
        began = time.perf_counter()
        while await spooled(server) < EVENTS:
            await asyncio.to_thread(run, server.port, batch=1, connections=64, seconds=3)
        filled = time.perf_counter() - began
        count = await spooled(server)
        postgres.start()
        began = time.perf_counter()
        while await spooled(server):
            await asyncio.sleep(0.1)
            if time.perf_counter() - began > 10 * GOAL:
                raise BenchError(f"{await spooled(server)} events are still spooled")
        took = (time.perf_counter() - began) * EVENTS / count
        connection = await asyncpg.connect(host=postgres.host, user=postgres.user)
        rows = await connection.fetchval("SELECT count(*) FROM cell_executions")
        await connection.close()
    if rows != count:
        raise BenchError(f"{count} events were spooled, {rows} were stored")
    note = f"{count:,} events, one to a request, were spooled at {count / filled:,.0f} a second"
    return Figure(WHAT, f"{took:.1f} s", "PostgreSQL 18", "–", f"< {GOAL} s", took < GOAL, [note])
