"""Committed events per second through the whole pipeline, by those of a bare COPY."""

import asyncio
import time
from dataclasses import replace
from statistics import fmean

import asyncpg

from bench.figures import BenchError, Figure, ratio
from bench.listeners import listeners
from bench.load import load
from bench.server import Server, monitor
from bench.usage import Usage, describe

WHAT = "committed events/s, batches of 100, by a bare COPY of the same rows"
GOAL = 0.40
BATCH = 100
CONNECTIONS = 64
ROUNDS = 3
SETTLE, MEASURED = 2, 4  # seconds of each round
COPIED = 100_000  # rows of one baseline
PASSES = 2
RECORDS = 1_000  # rows of one COPY


async def measure() -> Figure:
    """Rounds of load; before and after each, the baseline on the same PostgreSQL."""
    with monitor() as server, listeners(server.port) as clients:
        connection = await server.connect()
        try:
            await committed_rate(
                server, connection, clients.pid
            )  # the warm-up, and the rows to copy
            copies, rates, costs = [await _copy(connection)], [], []
            for _ in range(ROUNDS):
                rate, cost = await committed_rate(server, connection, clients.pid)
                rates.append(rate)
                costs.append(cost)
                copies.append(await _copy(connection))
            await _check(connection)
        finally:
            await connection.close()
        received = clients.received()
    figure = ratio(WHAT, (fmean(rates), "events/s"), (fmean(copies), "rows/s"), GOAL)
    notes = [
        f"rounds: {_listed(rates)} events/s; COPY: {_listed(copies)} rows/s",
        *costs,
        f"{received:,} live messages were read",
    ]
    return replace(figure, notes=notes)


async def committed_rate(
    server: Server, connection: asyncpg.Connection, clients: int
) -> tuple[float, str]:
    """Under load: committed events per second, and how busy the processes were."""
    seconds = SETTLE + MEASURED + 1
    with load(server.port, batch=BATCH, connections=CONNECTIONS, seconds=seconds) as running:
        await asyncio.sleep(SETTLE)
        usage = Usage.of(server.pid, wrk=running.pid, sockets=clients)
        before, start = await _committed(connection), time.perf_counter()
        await asyncio.sleep(MEASURED)
        after, end = await _committed(connection), time.perf_counter()
        shares = usage.shares()
        await asyncio.to_thread(running.result)
    await _drained(connection)
    rate = (after - before) / (end - start)
    return rate, describe(shares, rate)


async def _committed(connection: asyncpg.Connection) -> int:
    """The events committed so far, from the students' counters: cheaper than counting rows."""
    return int(await connection.fetchval("SELECT coalesce(sum(executions), 0) FROM student_states"))


async def _drained(connection: asyncpg.Connection) -> None:
    """Waits until the requests that wrk left unanswered are stored, and everything is counted."""
    before: tuple[int, int] | None = None
    while before != (after := (await _committed(connection), await _uncounted(connection))):
        await asyncio.sleep(0.5)
        before = after if after[1] == 0 else None


async def _uncounted(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("SELECT count(*) FROM outbox_counts"))


async def _check(connection: asyncpg.Connection) -> None:
    rows = int(await connection.fetchval("SELECT count(*) FROM cell_executions"))
    if rows != (counted := await _committed(connection)):
        raise BenchError(f"{rows} events are stored, and {counted} were counted")


async def _copy(connection: asyncpg.Connection) -> float:
    """Rows per second of a bare COPY into a table without index."""
    rows = await connection.fetch(f"SELECT * FROM cell_executions LIMIT {COPIED}")
    columns = list(rows[0].keys())
    records = [tuple(row) for row in rows]
    pieces = [records[first : first + RECORDS] for first in range(0, len(records), RECORDS)]
    await connection.execute("CREATE TABLE bench_copies (LIKE cell_executions)")
    start = time.perf_counter()
    for piece in pieces * PASSES:
        await connection.copy_records_to_table("bench_copies", records=piece, columns=columns)
    seconds = time.perf_counter() - start
    await connection.execute("DROP TABLE bench_copies")
    return PASSES * len(records) / seconds


def _listed(rates: list[float]) -> str:
    return ", ".join(f"{rate:,.0f}" for rate in rates)
