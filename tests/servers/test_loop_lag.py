"""How late the event loop is, in `/health`."""

import sys

import httpx

from tests.support.replicas import Replica
from tests.support.waiting import eventually

# Starts a server whose event loop is kept busy for a while, a second after the start.
BUSY = """
import asyncio, sys, time
from monitor import cli
from monitor.jobs import loop_lag
start = loop_lag.LoopLag.start
async def start_and_block(self):
    await start(self)
    asyncio.get_running_loop().call_later(1, time.sleep, 1.5)
loop_lag.LoopLag.start = start_and_block
sys.exit(cli.main([]))
"""


async def test_a_busy_event_loop_is_shown(environment: dict[str, str]) -> None:
    with Replica(environment, command=[sys.executable, "-c", BUSY]) as replica:
        async with httpx.AsyncClient(base_url=replica.url, timeout=10) as api:

            async def is_degraded() -> bool:
                report = (await api.get("/health")).json()["event_loop"]
                return bool(report["state"] == "degraded")

            await eventually(is_degraded)
            health = (await api.get("/health")).json()
    assert 1.3 < health["event_loop"]["lag"] < 5
    assert "nobody was served" in health["event_loop"]["error"]
    assert health["status"] == "degraded"


async def test_an_idle_event_loop_is_in_time(replica: Replica) -> None:
    async with httpx.AsyncClient(base_url=replica.url) as api:
        report = (await api.get("/health")).json()["event_loop"]
    assert report["state"] == "ok", report
    assert 0 <= report["lag"] < 1
