"""Class analytics on 1 and 10 million executions (`READS_EXECUTIONS`) and in a lesson; ingest.

`READS_DATA` is a data directory that `python -m bench.dataset` has filled: it is measured instead.
"""

import os
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import asyncpg

from bench import lesson
from bench.asking import ROUNDS, p95
from bench.dataset import NOTEBOOKS, fill_directory, weekdays
from bench.figures import Figure, ratio
from bench.listeners import listeners
from bench.server import Server, directory, monitor, monitor_of
from bench.throughput import committed_rate
from bench.workload import STUDENTS

SMALL, LARGE = 1_000_000, int(os.environ.get("READS_EXECUTIONS", "10000000"))
GOAL_MS, GOAL_GROWTH, GOAL_INGEST = 50, 1.5, 0.9
FILLED = os.environ.get("READS_DATA")


def _student() -> int:
    return random.randint(1, STUDENTS)


def _notebook() -> int:
    return random.randint(1, NOTEBOOKS)


def _day() -> str:
    return f"{random.choice(weekdays()):%Y-%m-%d}"


def _by_minutes() -> str:
    day = _day()
    return f"/classes/1/activity?interval=60&since={day}T00:00:00Z&until={day}T06:00:00Z"


def _by_days() -> str:
    return f"/classes/1/activity?interval=86400&since={weekdays()[0]:%Y-%m-%dT00:00:00Z}"


REQUESTS: dict[str, Callable[[], str]] = {
    "a class now": lambda: "/classes/1/now",
    "a class at an earlier moment": lambda: f"/classes/1/now?at={_day()}T03:00:00Z",
    "a notebook's cells": lambda: f"/classes/1/notebooks/{_notebook()}/cells",
    "an assignment's cells, CSV": lambda: f"/assignments/{_notebook()}/cells?format=csv",
    "activity, a day by minutes": _by_minutes,
    "activity, half a year by days": _by_days,
    "timeline, the newest 100": lambda: f"/students/{_student()}/timeline",
    "timeline, 100 from long ago": lambda: (
        f"/students/{_student()}/timeline?until={_day()}T00:00:00Z"
    ),
    "timeline of one notebook": lambda: (
        f"/students/{_student()}/timeline?notebook_id={_notebook()}"
    ),
    "timeline, errors only": lambda: f"/students/{_student()}/timeline?status=error",
    "sessions": lambda: f"/students/{_student()}/sessions",
    "accesses": lambda: f"/students/{_student()}/accesses?until={_day()}T00:00:00Z",
    "submissions": lambda: f"/students/{_student()}/submissions",
}


async def measure() -> list[Figure]:
    """Alternates between the servers, so that other load on the machine affects both alike."""
    with directory() as one, directory() as other:
        await _fill(one, SMALL)
        if not FILLED:
            await _fill(other, LARGE)
        with monitor_of(one) as small, monitor_of(Path(FILLED or other)) as large:
            size = await _size(large)
            figures = [_compared(what, url, small, large, size) for what, url in REQUESTS.items()]
            lesson_figures = await lesson.measure()
            return [*figures, *lesson_figures, await _ingest(large, size)]


async def _fill(data: Path, executions: int) -> None:
    start = time.perf_counter()
    await fill_directory(data, executions)
    print(f"  filled with {executions:,} in {time.perf_counter() - start:.0f} s", flush=True)


async def _size(server: Server) -> str:
    connection = await server.connect()
    executions = await connection.fetchval("SELECT sum(executions) FROM student_states")
    await connection.close()
    return f"{float(executions) / 1e6:.3g} million executions"


def _compared(what: str, url: Callable[[], str], small: Server, large: Server, size: str) -> Figure:
    rounds = [(p95(small, url), p95(large, url)) for _ in range(ROUNDS)]
    times = ", ".join(f"{one:.1f} and {ten:.1f}" for one, ten in rounds)
    figure = _figure(what, size, *(median(times) for times in zip(*rounds, strict=True)))
    return replace(figure, notes=[f"{what}: {times} ms"])


async def _ingest(full: Server, size: str) -> Figure:
    rates: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        with monitor() as empty:
            rates.append((await _rate(empty), await _rate(full)))
    note = "; ".join(f"{into_empty:,.0f} and {into_full:,.0f}" for into_empty, into_full in rates)
    base, rate = (median(each) for each in zip(*rates, strict=True))
    what = f"committed events/s into {size}, by empty tables"
    figure = ratio(what, (rate, "events/s"), (base, "events/s"), GOAL_INGEST)
    return replace(figure, notes=[f"ingest, empty and full: {note} events/s"])


async def _rate(server: Server) -> float:
    with listeners(server.port) as clients:
        connection: asyncpg.Connection = await server.connect()
        try:
            await committed_rate(server, connection, clients.pid)  # the warm-up
            return (await committed_rate(server, connection, clients.pid))[0]
        finally:
            await connection.close()


def _figure(what: str, size: str, small: float, large: float) -> Figure:
    growth = large / small
    return Figure(
        f"p95 of {what}",
        f"{large:.1f} ms",
        size,
        f"{growth:.2f} × 1 million",
        f"< {GOAL_MS} ms, ≤ {GOAL_GROWTH} ×",
        large < GOAL_MS and growth <= GOAL_GROWTH,
    )
