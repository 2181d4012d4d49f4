"""What happens to a server that runs its own PostgreSQL."""

import asyncio
import random

import httpx
import psutil

from tests.chaos.faults.disks import fill
from tests.chaos.site import Site


async def die_on_full_disk(site: Site, outage: float) -> None:
    """PostgreSQL can't be restarted for a while; the server answers, and does it later."""
    (replica,) = site.replicas
    filler = site.data_dir(replica) / "filler"
    fill(filler)
    await site.kill_postgres()
    for _ in range(round(max(3, outage))):
        await asyncio.sleep(1)
        async with httpx.AsyncClient(timeout=1) as client:
            answer = await client.get(f"{replica.url}/health/live")
        assert answer.status_code == 200
    filler.unlink()


async def stop(site: Site, outage: float) -> None:
    """SIGTERM under load: PostgreSQL has ended when the server has, and nothing of it is left."""
    (replica,) = site.replicas
    postmaster = site.postgres_processes()[0]
    await asyncio.sleep(random.uniform(0, 1))
    await site.stop(replica)
    assert not _lives(postmaster)
    assert list((site.directory / "sockets").iterdir()) == []
    await site.start(replica)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
