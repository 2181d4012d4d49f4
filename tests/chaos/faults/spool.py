"""What happens to the spool while PostgreSQL is away."""

import asyncio
import os
import random
import shutil
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from monitor.pipeline.spool.entries import Spool
from tests.chaos.faults.database import kill_postgres_for
from tests.chaos.faults.disks import fill
from tests.chaos.site import Site

SMALL_SPOOL = str(64 * 1024)
SPOOLED = 100  # events, at least
PAGE = 4096  # bytes
IN_A_PAGE = 60  # events at most: requests have up to 20, and one begins and one ends in the page


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


async def page_damaged(site: Site, outage: float) -> None:
    """A page of the spool is overwritten; only what was in it may be missing."""
    replica = random.choice(site.replicas)
    await site.kill_postgres()
    async with asyncio.timeout(30):
        while (await site.health(replica))["spool"]["events"] < SPOOLED:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    await site.stop(replica, signal.SIGKILL)
    data_dir = site.data_dir(replica)
    before = await _spooled(site, data_dir)
    with max(data_dir.glob("spool*/*"), key=lambda path: path.stat().st_size).open("r+b") as file:
        file.seek(random.randrange(0, max(1, file.seek(0, os.SEEK_END)), PAGE))
        file.write(random.randbytes(PAGE))
    lost = before - await _spooled(site, data_dir)
    assert len(lost) <= IN_A_PAGE, f"a page of {PAGE} bytes took {len(lost)} of {len(before)}"
    site.lesson.journal.acknowledged -= lost
    await site.start(replica)
    await site.start_postgres()


async def _spooled(site: Site, data_dir: Path) -> set[uuid.UUID]:
    """The events that can be read of a copy of the spool."""
    copy = site.new_directory("copy")
    shutil.copytree(data_dir, copy, dirs_exist_ok=True)
    spool = Spool.open(copy, 2**30)
    entries = await spool.oldest(10**6, 2**30)
    await spool.close()
    shutil.rmtree(copy)
    return {event.id for payload in entries.payloads for event in payload.events}


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
