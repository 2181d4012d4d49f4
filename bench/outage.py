"""Resident memory of the server while PostgreSQL is down and 500 events/s arrive."""

import asyncio
import os
import time
import uuid

import msgspec
import psutil

from bench.drain import spooled, without_postgres
from bench.figures import Figure
from bench.latency import Poster, event_of

WHAT = "growth of resident memory while PostgreSQL is down, 500 events/s"
RATE = 500  # events per second, one to a request
SECONDS = int(os.environ.get("OUTAGE_SECONDS", "60"))
WARM_UP = 15  # seconds
GOAL = 5  # MiB


async def measure() -> Figure:
    sizes: list[float] = []
    with without_postgres() as (server, _):
        process, poster = psutil.Process(server.pid), Poster(server.port)
        start = time.perf_counter()
        async with asyncio.TaskGroup() as posts:
            for number in range(SECONDS * RATE):
                if (wait := start + number / RATE - time.perf_counter()) > 0:
                    await asyncio.sleep(wait)
                body = msgspec.json.encode([event_of(str(uuid.uuid4()), number)])
                posts.create_task(poster.post(body))
                if number % RATE == 0:
                    sizes.append(process.memory_info().rss / 2**20)
        count = await spooled(server)
    growth = max(sizes[-10:]) - max(sizes[WARM_UP : WARM_UP + 10])
    step = max(1, SECONDS // 12)
    course = ", ".join(f"{size:.1f}" for size in sizes[::step])
    notes = [f"RSS every {step} s: {course} MiB; {count:,} events spooled"]
    of = f"from {WARM_UP} s to {SECONDS} s"
    return Figure(WHAT, f"{growth:.1f} MiB", of, "–", f"< {GOAL} MiB", growth < GOAL, notes)
