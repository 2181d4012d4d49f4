"""Requests per second with a class's ingest key, relative to a server without credentials."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from statistics import fmean

import asyncpg

from bench.figures import Figure, ratio
from bench.load import run
from bench.server import Server, monitor
from monitor.auth import keys as ingest_keys
from monitor.auth.keys import IngestKeyCreate

WHAT = "requests/s with an ingest key, by those of an open server"
GOAL = 0.95
CONNECTIONS = 200
ROUNDS = 6
WARM_UP, MEASURED = 2, 4  # seconds
UNLIMITED = str(10**12)
SETTINGS = {
    "JWT_SECRET": "only this benchmark's secret, and no other's",
    "MINUTE_EVENTS": UNLIMITED,
    "DAILY_EVENTS": UNLIMITED,
}


async def measure() -> Figure:
    """Alternating rounds of both; the server not measured is idle.

    On both servers the students are in a class, so their events go to its channel, too.
    """
    with monitor() as free, monitor(**SETTINGS) as guarded:
        key = await _key(guarded)
        with_key: list[float] = []
        without: list[float] = []
        _run(free, WARM_UP)
        _run(guarded, WARM_UP, key)
        await _enrol_all(free)
        for number in range(ROUNDS):
            turns = [(without, free, ""), (with_key, guarded, key)]
            # Each goes first equally often: the other's PostgreSQL still has some writing to do.
            for rates, server, its_key in turns if number % 2 else reversed(turns):
                rates.append(_run(server, MEASURED, its_key))
    ours, theirs = (fmean(with_key), "requests/s"), (fmean(without), "requests/s")
    rounds = zip(with_key, without, strict=True)
    return replace(
        ratio(WHAT, ours, theirs, GOAL),
        notes=[", ".join(f"{ours:,.0f}/{theirs:,.0f}" for ours, theirs in rounds)],
    )


def _run(server: Server, seconds: int, key: str = "") -> float:
    query = f"?key={key}" if key else ""
    load = run(server.port, batch=1, connections=CONNECTIONS, seconds=seconds, query=query)
    return load.rate


async def _key(server: Server) -> str:
    async with _connected(server) as connection:
        class_id = await connection.fetchval(_INSERT_CLASS)
        created = await ingest_keys.create(connection, IngestKeyCreate("bench", class_id), "bench")
    return created.key


async def _enrol_all(server: Server) -> None:
    async with _connected(server) as connection:
        class_id = await connection.fetchval(_INSERT_CLASS)
        await connection.execute(_ENROL_ALL, class_id)


@asynccontextmanager
async def _connected(server: Server) -> AsyncIterator[asyncpg.Connection]:
    connection = await server.connect()
    try:
        yield connection
    finally:
        await connection.close()


_INSERT_CLASS = "INSERT INTO classes (name, class_code) VALUES ('bench', 'bench') RETURNING id"
_ENROL_ALL = "INSERT INTO student_classes (student_id, class_id) SELECT id, $1 FROM students"
