"""The server's processor time per event, by that of another checkout in turn with it."""

import os
import time
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles

import psutil

from bench.figures import BenchError, Figure
from bench.load import run
from bench.server import Server, monitor

GOAL = 1.03
PAIRS = 25
MEASURED = 2  # seconds of load for each measurement
SETTLE = 0.15  # seconds for what follows the last answer
LOADS = {"one event each": (1, 200), "batches of 100": (100, 64)}  # events, connections


async def measure() -> list[Figure]:
    """Both servers run all the time; the load alternates, so that both see the same noise.

    BEFORE names the other checkout, such as a worktree of the commit before.
    """
    before = _other_checkout()
    with monitor() as ours, monitor(before) as theirs:
        return [_compare(ours, theirs, load) for load in LOADS]


def _other_checkout() -> Path:
    named = os.environ.get("BEFORE", "")
    before = Path(named).resolve()
    if not named or not (before / "run.py").is_file():
        raise BenchError("Set BEFORE to a checkout to compare with, such as a git worktree")
    return before


def _compare(ours: Server, theirs: Server, load: str) -> Figure:
    costs: dict[Server, list[float]] = {ours: [], theirs: []}
    for number in range(PAIRS + 1):
        for server in (ours, theirs) if number % 2 else (theirs, ours):
            costs[server].append(_cost(server, *LOADS[load]))
    pairs = list(zip(costs[ours][1:], costs[theirs][1:], strict=True))  # the first warms up
    ratios = [one / other for one, other in pairs]
    low, value, high = quantiles(ratios, n=4)
    figure = Figure(
        f"CPU per event of the server, {load}, by that of the other checkout",
        f"{value:.3f}",
        f"{median(one for one, _ in pairs):.1f} µs",
        f"{median(other for _, other in pairs):.1f} µs",
        f"≤ {GOAL}",
        value <= GOAL,
    )
    return replace(figure, notes=[f"{PAIRS} pairs, quartiles {low:.3f} to {high:.3f}"])


def _cost(server: Server, batch: int, connections: int) -> float:
    """µs of the server's processor time per event under load."""
    process = psutil.Process(server.pid)
    before = process.cpu_times()
    result = run(server.port, batch=batch, connections=connections, seconds=MEASURED)
    time.sleep(SETTLE)
    after = process.cpu_times()
    seconds = after.user + after.system - before.user - before.system
    return float(1e6 * seconds / (result.requests * batch))
