"""Faults of a school's servers. When a fault returns, all of them run again."""

import asyncio
import os
import random
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil
from websockets.asyncio.client import connect

from tests.chaos.site import Site, can_mount, mount, unmount

STOP_SECONDS = 12.0  # twice STOP_TIMEOUT, as README says, and some for the processors being busy
SMALL_SPOOL = str(64 * 1024)


@dataclass(frozen=True)
class Fault:
    """Harm that is done for about `outage` seconds, and how the students work meanwhile.

    What is `slow` to recover from is for the long form alone.
    """

    harm: Callable[[Site, float], Awaitable[None]]
    poison: bool = False
    everywhere: bool = False
    slow: bool = False


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


async def kill_postgres(site: Site, outage: float) -> None:
    await site.kill_postgres()
    await asyncio.sleep(random.uniform(0, outage))
    await site.start_postgres()


async def kill_postgres_and_server(site: Site, outage: float) -> None:
    await site.kill_postgres()
    await asyncio.sleep(random.uniform(0, outage / 2))
    await kill_server(site, outage / 2)
    await site.start_postgres()


async def hang_postgres(site: Site, outage: float) -> None:
    processes = site.postgres_processes()
    for process in processes:
        _signal(process, signal.SIGSTOP)
    await asyncio.sleep(random.uniform(1, max(4, outage)))
    for process in processes:
        _signal(process, signal.SIGCONT)


async def network_drops(site: Site, outage: float) -> None:
    """Connections to PostgreSQL are lost, and neither end notices."""
    site.network.drop()
    await asyncio.sleep(random.uniform(1, max(5, outage)))
    site.network.dropping = False


async def stop_server_while_postgres_hangs(site: Site, outage: float) -> None:
    processes = site.postgres_processes()
    for process in processes:
        _signal(process, signal.SIGSTOP)
    await asyncio.sleep(random.uniform(0, 4))
    await stop_server(site, outage)


async def no_connections(site: Site, outage: float) -> None:
    """All of PostgreSQL's connections are in use, by others."""
    taken: list[asyncpg.Connection] = []
    ending = time.monotonic() + random.uniform(1, max(2, outage))
    try:
        while time.monotonic() < ending:
            try:
                taken.append(await site.connect(server_settings={"application_name": "others"}))
                await taken[0].execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'cell-monitor'"
                )
            except (asyncpg.PostgresError, OSError):
                await asyncio.sleep(0.05)
    finally:
        for connection in taken:
            connection.terminate()


async def read_only(site: Site, outage: float) -> None:
    await site.execute(
        "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"
    )
    await asyncio.sleep(random.uniform(0.5, max(1, outage)))
    await site.execute(
        "SET default_transaction_read_only = off",
        "ALTER SYSTEM RESET default_transaction_read_only",
        "SELECT pg_reload_conf()",
    )


async def database_disk_full(site: Site, outage: float) -> None:
    """The events' tables move to a disk of a few megabytes, which fills up; then it is enlarged."""
    disk = site.directory / "tablespace"
    disk.mkdir(exist_ok=True)
    mount(disk, 64)
    try:
        owner = site.postgres.data.stat()
        os.chown(disk, owner.st_uid, owner.st_gid)
        await site.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        tables = await _partitions(site)
        await site.execute(*(f"ALTER TABLE {name} SET TABLESPACE small" for name in tables))
        (disk / "filler").write_bytes(b"")
        _fill(disk / "filler")
        await asyncio.sleep(random.uniform(1, max(2, outage)))
        (disk / "filler").unlink()
        await asyncio.sleep(0.5)
        await site.execute(
            *(f"ALTER TABLE {name} SET TABLESPACE pg_default" for name in tables),
            "DROP TABLESPACE small",
        )
    finally:
        unmount(disk)


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


async def redis_down(site: Site, outage: float) -> None:
    await asyncio.to_thread(site.redis.kill)
    await asyncio.sleep(random.uniform(0, outage))
    await asyncio.to_thread(site.redis.start)


async def nothing(site: Site, outage: float) -> None:
    await asyncio.sleep(1)


async def spool_bound(site: Site, outage: float) -> None:
    """The spool's bound is reached while PostgreSQL is away."""
    async with _settings(site, SPOOL_MAX_BYTES=SMALL_SPOOL):
        await kill_postgres_for(site, max(2, outage / 2))
        await _spools_empty(site)


async def spool_disk_full(site: Site, outage: float) -> None:
    """The disk of the spool fills up while PostgreSQL is away, and is still full afterwards."""
    fillers = [site.data_dir(replica) / "filler" for replica in site.replicas]
    await site.kill_postgres()
    await asyncio.sleep(0.5)
    for filler in fillers:
        _fill(filler)
    await asyncio.sleep(random.uniform(1, max(2, outage / 2)))
    await site.start_postgres()
    await asyncio.sleep(1)
    for filler in fillers:
        filler.unlink()


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


async def stop_server_without_postgres(site: Site, outage: float) -> None:
    await site.kill_postgres()
    await asyncio.sleep(random.uniform(0, 1))
    await stop_server(site, outage)
    await site.start_postgres()


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


async def kill_postgres_for(site: Site, seconds: float) -> None:
    await site.kill_postgres()
    await asyncio.sleep(seconds)
    await site.start_postgres()


FAULTS = {
    "kill -9 of a server": Fault(kill_server),
    "kill -9 of both servers": Fault(kill_both_servers),
    "a server hangs": Fault(hang_server, slow=True),
    "kill -9 of PostgreSQL": Fault(kill_postgres),
    "kill -9 of PostgreSQL, then of a server": Fault(kill_postgres_and_server, slow=True),
    "PostgreSQL hangs": Fault(hang_postgres),
    "the network to PostgreSQL drops all": Fault(network_drops, slow=True),
    "SIGTERM while PostgreSQL hangs": Fault(stop_server_while_postgres_hangs, slow=True),
    "PostgreSQL has no connections": Fault(no_connections),
    "PostgreSQL is read-only": Fault(read_only),
    "PostgreSQL's disk is full": Fault(database_disk_full),
    "InfluxDB is down": Fault(influx_down),
    "InfluxDB is slow": Fault(influx_slow),
    "InfluxDB answers 500": Fault(influx_failing),
    "InfluxDB answers 400 on some lines": Fault(influx_refusing),
    "Redis is down": Fault(redis_down),
    "the same events to two replicas": Fault(nothing, everywhere=True),
    "the spool's bound is reached": Fault(spool_bound),
    "the spool's disk is full": Fault(spool_disk_full),
    "SIGTERM under load": Fault(stop_server),
    "SIGTERM under load, without PostgreSQL": Fault(stop_server_without_postgres, slow=True),
    "poison among good events": Fault(nothing, poison=True),
    "poison while PostgreSQL is away": Fault(kill_postgres, poison=True),
    "a replica never returns": Fault(never_returns, slow=True),
}
NEEDS_MOUNT = {"PostgreSQL's disk is full", "the spool's disk is full"}


def possible() -> list[str]:
    """The faults that can be had here: only root can mount a disk that is full."""
    return [name for name in FAULTS if name not in NEEDS_MOUNT or can_mount()]


@asynccontextmanager
async def _settings(site: Site, **settings: str) -> AsyncIterator[None]:
    """The servers with these settings meanwhile."""
    await _restart(site, settings)
    yield
    await _restart(site, dict.fromkeys(settings, ""))


async def _restart(site: Site, settings: dict[str, str]) -> None:
    await asyncio.gather(*(site.stop(each) for each in site.replicas))
    await asyncio.gather(*(site.start(each, **settings) for each in site.replicas))


async def _spools_empty(site: Site) -> None:
    async with asyncio.timeout(30):
        while any(state["spool"]["events"] for state in await site.states()):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def _notes(site: Site) -> set[int]:
    connection = await site.connect()
    try:
        return {row["id"] for row in await connection.fetch("SELECT id FROM outbox_points")}
    finally:
        await connection.close()


async def _partitions(site: Site) -> list[str]:
    connection = await site.connect()
    try:
        rows = await connection.fetch(
            "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
            " JOIN pg_class ON pg_class.oid = inhrelid WHERE relkind = 'r'"
            " AND relname LIKE '%' || to_char(now(), 'YYYY_MM')"
        )
        return [row["name"] for row in rows]
    finally:
        await connection.close()


def _fill(path: Path) -> None:
    with suppress(OSError), path.open("wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass


def _signal(process: psutil.Process, signum: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signum)
