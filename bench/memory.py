"""Resident memory of the idle server, without PostgreSQL."""

import asyncio

import psutil

from bench.figures import Figure
from bench.server import monitor

WHAT = "resident memory, idle, without PostgreSQL"
GOAL = 90  # MiB
SETTLE = 3.0  # seconds


async def measure() -> Figure:
    with monitor() as server:
        await asyncio.sleep(SETTLE)
        size = psutil.Process(server.pid).memory_info().rss / 2**20
    return Figure(WHAT, f"{size:.1f} MiB", "RSS of the server", "–", f"< {GOAL} MiB", size < GOAL)
