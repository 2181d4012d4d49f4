"""Requests per second of one event each, by those of an empty Starlette route."""

import asyncio
from dataclasses import replace
from statistics import fmean

from bench.figures import Figure, ratio
from bench.load import Result, load, run
from bench.server import empty, monitor
from bench.usage import Usage, describe

WHAT = "requests/s, one event each, by an empty Starlette route"
GOAL = 0.45
CONNECTIONS = 200
ROUNDS = 3
WARM_UP, MEASURED = 2, 4  # seconds


async def measure() -> Figure:
    """Alternating rounds of both; the server not measured is idle."""
    with empty() as bare, monitor() as server:
        _run(bare.port, WARM_UP)
        _run(server.port, WARM_UP)
        ours, theirs, costs = [], [], []
        for _ in range(ROUNDS):
            theirs.append(_run(bare.port, MEASURED))
            with load(server.port, batch=1, connections=CONNECTIONS, seconds=MEASURED) as running:
                usage = Usage.of(server.pid, wrk=running.pid)
                await asyncio.sleep(MEASURED - 1)
                shares = usage.shares()
                ours.append(running.result())
            costs.append(describe(shares, ours[-1].rate))
    figure = ratio(WHAT, (_rate(ours), "requests/s"), (_rate(theirs), "requests/s"), GOAL)
    notes = [f"rounds: {_listed(ours)}; empty route: {_listed(theirs)}", *costs]
    return replace(figure, notes=notes)


def _run(port: int, seconds: int) -> Result:
    return run(port, batch=1, connections=CONNECTIONS, seconds=seconds)


def _rate(results: list[Result]) -> float:
    return fmean(result.rate for result in results)


def _listed(results: list[Result]) -> str:
    return ", ".join(f"{result.rate:,.0f}" for result in results)
