"""What happens to InfluxDB and to the points on their way there."""

import asyncio
import random
import signal
from datetime import timedelta

import httpx

from tests.chaos.site import BUCKET, Site

KEPT = timedelta(days=30)  # by InfluxDB
RETENTION = f'ALTER RETENTION POLICY "autogen" ON "{BUCKET}" DURATION {KEPT.days}d'


async def influx_down(site: Site, outage: float) -> None:
    await asyncio.to_thread(site.influx.kill)
    await asyncio.sleep(random.uniform(0, outage))
    await asyncio.to_thread(site.influx.start)


async def influx_slow(site: Site, outage: float) -> None:
    site.proxy.delay = min(12, outage)
    await asyncio.sleep(random.uniform(1, max(2, outage)))
    site.proxy.delay = 0


async def influx_failing(site: Site, outage: float) -> None:
    site.proxy.failing = True
    await asyncio.sleep(random.uniform(0.5, max(1, outage)))
    site.proxy.failing = False


async def influx_refusing(site: Site, outage: float) -> None:
    site.proxy.refusing = True
    await asyncio.sleep(1)
    site.proxy.refusing = False


async def influx_down_while_old_events_come(site: Site, outage: float) -> None:
    """The events are older than what InfluxDB keeps: it refuses each of their points."""
    async with httpx.AsyncClient() as client:
        for statement in (f"CREATE DATABASE {BUCKET}", RETENTION):
            query = {"q": statement}
            (await client.post(f"{site.influx.url}/query", params=query)).raise_for_status()
    await influx_down(site, max(outage, 3))


async def never_returns(site: Site, outage: float) -> None:
    """A replica dies, and another has to write its points while it is busy itself."""
    replica = random.choice(site.replicas)
    site.proxy.failing = True
    await asyncio.sleep(0.5)
    await site.stop(replica, signal.SIGKILL)
    site.proxy.failing = False
    site.replicas.remove(replica)
    try:
        left = await _notes(site)
        await site.execute("UPDATE outbox_points SET created_at = created_at - interval '1 hour'")
        async with asyncio.timeout(60):
            while left & await _notes(site):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
    finally:
        site.replicas.append(replica)
        await site.start(replica)


async def _notes(site: Site) -> set[int]:
    connection = await site.connect()
    try:
        return {row["id"] for row in await connection.fetch("SELECT id FROM outbox_points")}
    finally:
        await connection.close()
