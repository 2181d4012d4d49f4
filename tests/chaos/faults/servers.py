"""What happens to the servers themselves."""

import asyncio
import random
import signal
import socket
import time
from contextlib import suppress

from websockets.asyncio.client import connect

from tests.chaos.faults.database import kill_postgres_for, send_signal
from tests.chaos.faults.disks import fill
from tests.chaos.faults.spool import spools_empty
from tests.chaos.site import Site
from tests.support.programs import find_faketime

STOP_SECONDS = 12.0  # twice STOP_TIMEOUT, as README says, and some for the processors being busy


async def kill_server(site: Site, outage: float) -> None:
    replica = random.choice(site.replicas)
    await site.stop(replica, signal.SIGKILL)
    await asyncio.sleep(random.uniform(0, min(outage, 2)))
    await site.start(replica)


async def kill_both_servers(site: Site, outage: float) -> None:
    await asyncio.gather(*(site.stop(each, signal.SIGKILL) for each in site.replicas))
    await asyncio.gather(*(site.start(each) for each in site.replicas))


async def hang_server(site: Site, outage: float) -> None:
    """It may hold locks that the other one needs, whose students have come over."""
    process = random.choice(site.replicas).process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(random.uniform(1, max(5, outage)))
    finally:
        process.send_signal(signal.SIGCONT)


async def kill_postgres_and_server(site: Site, outage: float) -> None:
    await site.kill_postgres()
    await asyncio.sleep(random.uniform(0, outage / 2))
    await kill_server(site, outage / 2)
    await site.start_postgres()


async def stop_server(site: Site, outage: float) -> None:
    """SIGTERM under load, with connections open that say nothing, half of it, or listen."""
    replica = random.choice(site.replicas)
    with suppress(OSError):
        async with connect(f"ws://127.0.0.1:{replica.port}/ws", proxy=None, max_queue=None):
            idle = socket.create_connection(("127.0.0.1", replica.port))
            half = socket.create_connection(("127.0.0.1", replica.port))
            half.sendall(
                b"POST /api/v1/events HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\n["
            )
            began = time.monotonic()
            await site.stop(replica)
            took = time.monotonic() - began
            idle.close()
            half.close()
    assert took < STOP_SECONDS, f"stopping took {took:.1f} s"
    await site.start(replica)


async def start_on_full_disk(site: Site, outage: float) -> None:
    """PostgreSQL is well, and the disk of DATA_DIR is full when the server starts."""
    replica = random.choice(site.replicas)
    await site.stop(replica)
    fill(site.data_dir(replica) / "filler")
    await site.start(replica)
    await asyncio.sleep(random.uniform(1, max(2, outage)))
    (site.data_dir(replica) / "filler").unlink()


async def clock_off(site: Site, outage: float) -> None:
    """A server's clock is two days ahead or behind, also while it spools."""
    replica = random.choice(site.replicas)
    await site.stop(replica)
    off = {"LD_PRELOAD": find_faketime(), "FAKETIME": random.choice(("+2d", "-2d"))}
    await site.start(replica, **off, FAKETIME_DONT_FAKE_MONOTONIC="1")
    await asyncio.sleep(random.uniform(1, max(2, outage)))
    if random.random() < 0.5:
        await kill_postgres_for(site, 1)
        await spools_empty(site)
    await site.stop(replica)
    await site.start(replica, LD_PRELOAD="", FAKETIME="")


async def stop_server_while_postgres_hangs(site: Site, outage: float) -> None:
    processes = site.postgres_processes()
    for process in processes:
        send_signal(process, signal.SIGSTOP)
    await asyncio.sleep(random.uniform(0, 4))
    await stop_server(site, outage)


async def stop_server_without_postgres(site: Site, outage: float) -> None:
    await site.kill_postgres()
    await asyncio.sleep(random.uniform(0, 1))
    await stop_server(site, outage)
    await site.start_postgres()
