"""What teachers ask of 1 and of 10 million executions; ingest into full tables by empty ones."""

import http.client
import random
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean

import asyncpg

from bench.dataset import NOTEBOOKS, fill, weekdays
from bench.figures import BenchError, Figure, percentile, ratio
from bench.listeners import listeners
from bench.places import STUDENTS
from bench.server import Server, monitor
from bench.throughput import committed_rate

SMALL, LARGE = 1_000_000, 10_000_000
CALLS, WARM_UP = 200, 20
GOAL_MS, GOAL_GROWTH, GOAL_INGEST = 50, 1.5, 0.9
ROUNDS = 3
INGEST = "committed events/s into 10 million executions, by empty tables"


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


QUESTIONS: dict[str, Callable[[], str]] = {
    "a class now": lambda: "/classes/1/now",
    "a class at an earlier moment": lambda: f"/classes/1/now?at={_day()}T03:00:00Z",
    "a notebook's cells": lambda: f"/classes/1/notebooks/{_notebook()}/cells",
    "an assignment's cells, CSV": lambda: f"/assignments/{_notebook()}/cells?format=csv",
    "activity, a day by minutes": _by_minutes,
    "activity, half a year by days": _by_days,
    "time line, the newest 100": lambda: f"/students/{_student()}/timeline",
    "time line, 100 of long ago": lambda: (
        f"/students/{_student()}/timeline?until={_day()}T00:00:00Z"
    ),
    "time line of one notebook": lambda: (
        f"/students/{_student()}/timeline?notebook_id={_notebook()}"
    ),
    "time line, errors only": lambda: f"/students/{_student()}/timeline?status=error",
    "sessions": lambda: f"/students/{_student()}/sessions",
    "accesses": lambda: f"/students/{_student()}/accesses?until={_day()}T00:00:00Z",
    "submissions": lambda: f"/students/{_student()}/submissions",
}


async def measure() -> list[Figure]:
    with monitor() as server:
        empty = await _ingest(server)
    small, _ = await _filled(SMALL, ingest=False)
    large, full = await _filled(LARGE, ingest=True)
    figures = [_figure(what, small[what], large[what]) for what in QUESTIONS]
    rates = (fmean(full), "events/s"), (fmean(empty), "events/s")
    note = f"empty: {_listed(empty)}; full: {_listed(full)} events/s"
    return [*figures, replace(ratio(INGEST, *rates, GOAL_INGEST), notes=[note])]


async def _filled(executions: int, *, ingest: bool) -> tuple[dict[str, float], list[float]]:
    """The 95th percentile (ms) of each question, and the rates of ingest."""
    with monitor() as server:
        connection = await server.connect()
        start = time.perf_counter()
        await fill(connection, executions)
        print(f"  filled with {executions:,} in {time.perf_counter() - start:.0f} s", flush=True)
        await connection.close()
        times = {what: _ask(server, url) for what, url in QUESTIONS.items()}
        return times, await _ingest(server) if ingest else []


def _ask(server: Server, url: Callable[[], str]) -> float:
    client = http.client.HTTPConnection("127.0.0.1", server.port)
    times = []
    for _ in range(WARM_UP + CALLS):
        path = f"/api/v1{url()}"
        start = time.perf_counter()
        client.request("GET", path)
        answer = client.getresponse()
        body = answer.read()
        times.append(1e3 * (time.perf_counter() - start))
        if answer.status != 200:
            raise BenchError(f"{path} is answered {answer.status}: {body[:200]!r}")
    client.close()
    return percentile(times[WARM_UP:], 0.95)


async def _ingest(server: Server) -> list[float]:
    with listeners(server.port) as clients:
        connection: asyncpg.Connection = await server.connect()
        try:
            await committed_rate(server, connection, clients.pid)
            return [
                (await committed_rate(server, connection, clients.pid))[0] for _ in range(ROUNDS)
            ]
        finally:
            await connection.close()


def _figure(what: str, small: float, large: float) -> Figure:
    growth = large / small
    return Figure(
        f"p95 of {what}",
        f"{large:.1f} ms",
        "10 million executions",
        f"{growth:.2f} × 1 million",
        f"< {GOAL_MS} ms, ≤ {GOAL_GROWTH} ×",
        large < GOAL_MS and growth <= GOAL_GROWTH,
    )


def _listed(rates: list[float]) -> str:
    return ", ".join(f"{rate:,.0f}" for rate in rates)
