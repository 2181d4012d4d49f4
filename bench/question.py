"""How long a teacher's question takes while far more is posted than a class ever does."""

import asyncio
import http.client
import json
import time

from bench.figures import BenchError, Figure, percentile
from bench.load import load
from bench.server import monitor
from bench.workload import STUDENTS, student

BATCH, CONNECTIONS = 100, 24
SECONDS, WARM_UP = 45, 5
PAUSE = 0.5  # seconds between questions
GOAL_MS = 100
WHAT = "p95 of a class's view under the load of `throughput`, 24 connections"
_VIEW = "/api/v1/classes/1/now"


async def measure() -> Figure:
    """The view of the class whose students post all of it, asked again and again."""
    with monitor() as server:
        _enrol(server.port)
        posting = load(
            server.port,
            batch=BATCH,
            connections=CONNECTIONS,
            seconds=SECONDS,
            query="?class=lesson",
        )
        with posting as running:
            times = await asyncio.to_thread(_ask, server.port)
            rate = BATCH * (await asyncio.to_thread(running.result)).rate
    value = percentile(times, 0.95)
    return Figure(
        WHAT,
        f"{value:.0f} ms",
        f"{len(times)} questions",
        f"{rate:,.0f} events/s",
        f"< {GOAL_MS} ms",
        value < GOAL_MS,
        notes=[f"median {percentile(times, 0.5):.0f} ms, slowest {max(times):.0f} ms"],
    )


def _enrol(port: int) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port)
    roster = [{"user_id": student(number), "role": "student"} for number in range(STUDENTS)]
    for path, body in (
        ("/classes", {"name": "Lesson", "class_code": "lesson"}),
        ("/classes/1/students", roster),
    ):
        headers = {"Content-Type": "application/json"}
        client.request("POST", f"/api/v1{path}", json.dumps(body), headers)
        answer = client.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise BenchError(f"{path} is answered {answer.status}: {text[:200]!r}")
    client.close()


def _ask(port: int) -> list[float]:
    """Milliseconds that each question took."""
    client = http.client.HTTPConnection("127.0.0.1", port)
    time.sleep(WARM_UP)
    times, end = [], time.perf_counter() + SECONDS - WARM_UP - 5
    while (start := time.perf_counter()) < end:
        client.request("GET", _VIEW)
        answer = client.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise BenchError(f"{_VIEW} is answered {answer.status}: {text[:200]!r}")
        times.append(1e3 * (time.perf_counter() - start))
        time.sleep(PAUSE)
    client.close()
    return times
