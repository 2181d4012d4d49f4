"""One message to thousands of sockets of one process: time until the last has it; memory."""

import asyncio
import time
import uuid

import msgspec
import psutil

from bench.crowd import Crowd, crowd
from bench.figures import BenchError, Figure
from bench.latency import Poster, event_of
from bench.server import monitor

WHAT = "one message to 5,000 sockets of one process: the last has it after"
GOAL = 500  # ms
SIZE_WHAT = "resident memory per idle socket"
SIZE_GOAL = 40  # KiB
SOCKETS = 5_000
ROUNDS = 10
SETTLE = 2.0  # seconds
TIMEOUT = 10.0  # seconds


async def measure() -> Figure:
    """The time from the POST to the last socket, at the worst of some rounds."""
    with monitor() as server, crowd(server.port, "/ws", SOCKETS, timed=True) as clients:
        poster = Poster(server.port)
        await _round(poster, clients, 0)  # the warm-up
        spans = [await _round(poster, clients, number) for number in range(1, ROUNDS + 1)]
    worst = max(spans)
    notes = ["rounds: " + ", ".join(f"{span:.0f}" for span in spans) + " ms"]
    of = "POST to the last socket, worst of 10"
    return Figure(WHAT, f"{worst:.0f} ms", of, "–", f"< {GOAL} ms", worst < GOAL, notes)


async def measure_size() -> Figure:
    """Growth of the server's RSS per socket, after each has received some messages."""
    with monitor() as server:
        poster, process = Poster(server.port), psutil.Process(server.pid)
        for number in range(ROUNDS):
            await poster.post(event(number))
        await asyncio.sleep(SETTLE)
        before = process.memory_info().rss
        with crowd(server.port, "/ws", SOCKETS, timed=True) as clients:
            poster = Poster(server.port)  # the other one was idle while they connected
            for number in range(ROUNDS):
                await _round(poster, clients, number)
            await asyncio.sleep(SETTLE)
            size = (process.memory_info().rss - before) / SOCKETS / 1024
    of = f"RSS with {SOCKETS:,} sockets minus that before"
    return Figure(SIZE_WHAT, f"{size:.1f} KiB", of, "–", f"< {SIZE_GOAL} KiB", size < SIZE_GOAL)


def event(number: int) -> bytes:
    return msgspec.json.encode([event_of(str(uuid.uuid4()), number)])


async def _round(poster: Poster, clients: Crowd, number: int) -> float:
    """Milliseconds until the last socket had this message."""
    body, start = event(0), time.perf_counter()
    await poster.post(body)
    while True:
        await asyncio.sleep(0.3)
        received = await asyncio.to_thread(clients.received)
        times = received.times[number] if number < len(received.times) else []
        if len(times) == SOCKETS:
            return (max(times) - start) * 1000
        if time.perf_counter() > start + TIMEOUT:
            raise BenchError(f"{SOCKETS - len(times)} sockets did not get the message")
