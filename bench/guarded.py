"""Requests per second with a class's ingest key, relative to a server without credentials."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median, quantiles

import asyncpg

from bench.figures import Figure
from bench.load import run
from bench.server import Server, monitor
from monitor.auth import keys as ingest_keys
from monitor.auth.keys import IngestKeyCreate

WHAT = "requests/s with an ingest key, by those of an open server"
GOAL = 0.95
CONNECTIONS = 200
PAIRS = 25
MEASURED = 2  # seconds of load for each measurement
UNLIMITED = str(10**12)
SETTINGS = {
    "JWT_SECRET": "only this benchmark's secret, and no other's",
    "MINUTE_EVENTS": UNLIMITED,
    "DAILY_EVENTS": UNLIMITED,
}


async def measure() -> Figure:
    """The load alternates between both; the server not measured is idle.

    On both servers the students are in a class, so their events go to its channel, too.
    """
    with monitor() as free, monitor(**SETTINGS) as guarded:
        key = await _key(guarded)
        _run(free)
        _run(guarded, key)
        await _enrol_all(free)
        pairs = [_pair(free, guarded, key, free_first=number % 2 > 0) for number in range(PAIRS)]
    low, value, high = quantiles([ours / theirs for ours, theirs in pairs], n=4)
    return Figure(
        WHAT,
        f"{value:.2f}",
        f"{median(ours for ours, _ in pairs):,.0f} requests/s",
        f"{median(theirs for _, theirs in pairs):,.0f} requests/s",
        f"≥ {GOAL:.2f}",
        value >= GOAL,
        notes=[f"{PAIRS} pairs, quartiles {low:.2f} to {high:.2f}"],
    )


def _pair(free: Server, guarded: Server, key: str, *, free_first: bool) -> tuple[float, float]:
    """Requests/s with the key, and without.

    Each goes first equally often: the other's PostgreSQL still has some writing to do.
    """
    if free_first:
        without = _run(free)
        return _run(guarded, key), without
    return _run(guarded, key), _run(free)


def _run(server: Server, key: str = "") -> float:
    query = f"?key={key}" if key else ""
    load = run(server.port, batch=1, connections=CONNECTIONS, seconds=MEASURED, query=query)
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
