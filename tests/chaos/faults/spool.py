"""What happens to the spool while PostgreSQL is away."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.chaos.faults.database import kill_postgres_for
from tests.chaos.faults.disks import fill
from tests.chaos.site import Site

SMALL_SPOOL = str(64 * 1024)


async def spool_bound(site: Site, outage: float) -> None:
    """The spool's bound is reached while PostgreSQL is away."""
    async with _settings(site, SPOOL_MAX_BYTES=SMALL_SPOOL):
        await kill_postgres_for(site, max(2, outage / 2))
        await spools_empty(site)


async def spool_disk_full(site: Site, outage: float) -> None:
    """The disk of the spool fills up while PostgreSQL is away, and is still full afterwards."""
    fillers = [site.data_dir(replica) / "filler" for replica in site.replicas]
    await site.kill_postgres()
    await asyncio.sleep(0.5)
    for filler in fillers:
        fill(filler)
    await asyncio.sleep(random.uniform(1, max(2, outage / 2)))
    await site.start_postgres()
    await asyncio.sleep(1)
    for filler in fillers:
        filler.unlink()


@asynccontextmanager
async def _settings(site: Site, **settings: str) -> AsyncIterator[None]:
    """The servers with these settings meanwhile."""
    await _restart(site, settings)
    yield
    await _restart(site, dict.fromkeys(settings, ""))


async def _restart(site: Site, settings: dict[str, str]) -> None:
    await asyncio.gather(*(site.stop(each) for each in site.replicas))
    await asyncio.gather(*(site.start(each, **settings) for each in site.replicas))


async def spools_empty(site: Site) -> None:
    async with asyncio.timeout(30):
        while any(state["spool"]["events"] for state in await site.states()):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
