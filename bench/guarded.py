"""Requests per second with a class's ingest key, by those of a server that asks for none."""

from dataclasses import replace
from statistics import fmean

from bench.figures import Figure, ratio
from bench.load import run
from bench.server import Server, monitor
from monitor.lms import ingest_keys
from monitor.lms.ingest_keys import IngestKeyCreate

WHAT = "requests/s with an ingest key, by those of an open server"
GOAL = 0.95
CONNECTIONS = 200
ROUNDS = 4
WARM_UP, MEASURED = 2, 4  # seconds
UNLIMITED = str(10**12)
SETTINGS = {
    "JWT_SECRET": "only this benchmark's secret, and no other's",
    "MINUTE_REQUESTS": UNLIMITED,
    "MINUTE_EVENTS": UNLIMITED,
    "MINUTE_BYTES": UNLIMITED,
    "DAILY_EVENTS": UNLIMITED,
}


async def measure() -> Figure:
    """Rounds of both in turn; whichever is not measured is idle."""
    with monitor() as free, monitor(**SETTINGS) as guarded:
        key = await _key(guarded)
        with_key: list[float] = []
        without: list[float] = []
        for seconds in (WARM_UP, *[MEASURED] * ROUNDS):
            for server, found, query in ((free, without, ""), (guarded, with_key, f"?key={key}")):
                result = run(
                    server.port, batch=1, connections=CONNECTIONS, seconds=seconds, query=query
                )
                found.append(result.rate)
    ours, theirs = with_key[1:], without[1:]
    figure = ratio(WHAT, (fmean(ours), "requests/s"), (fmean(theirs), "requests/s"), GOAL)
    rounds = zip(ours, theirs, strict=True)
    return replace(
        figure, notes=[", ".join(f"{ours:,.0f}/{theirs:,.0f}" for ours, theirs in rounds)]
    )


async def _key(server: Server) -> str:
    connection = await server.connect()
    try:
        class_id = await connection.fetchval(
            "INSERT INTO classes (name, class_code) VALUES ('bench', 'bench') RETURNING id"
        )
        made = await ingest_keys.create(connection, IngestKeyCreate("bench", class_id), "bench")
    finally:
        await connection.close()
    return made.key
