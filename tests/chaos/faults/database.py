"""What happens to PostgreSQL and the network to it."""

import asyncio
import os
import random
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import asyncpg
import psutil

from monitor.database.partitions import month_of
from monitor.database.session import SESSION
from tests.chaos.faults.disks import fill
from tests.chaos.site import Site, mount, socket_of, unmount
from tests.support.postgres import address_of
from tests.support.secured import PgBouncer

LEAST_TIMEOUT = 0.02  # seconds
ARCHIVED = timedelta(days=70)  # ago
TABLES = ("cell_executions", "notebook_accesses", "events")


async def kill_postgres(site: Site, outage: float) -> None:
    await site.kill_postgres()
    await asyncio.sleep(random.uniform(0, outage))
    await site.start_postgres()


async def kill_postgres_for(site: Site, seconds: float) -> None:
    await site.kill_postgres()
    await asyncio.sleep(seconds)
    await site.start_postgres()


async def hang_postgres(site: Site, outage: float) -> None:
    processes = site.postgres_processes()
    for process in processes:
        send_signal(process, signal.SIGSTOP)
    await asyncio.sleep(random.uniform(1, max(4, outage)))
    for process in processes:
        send_signal(process, signal.SIGCONT)


async def network_drops(site: Site, outage: float) -> None:
    """Connections to PostgreSQL are lost, and neither end notices."""
    site.network.drop()
    await asyncio.sleep(random.uniform(1, max(5, outage)))
    site.network.dropping = False


async def pooler_in_the_way(site: Site, outage: float) -> None:
    """PgBouncer comes in between for a while, where commits don't wait for the disk by default."""
    settings = {
        "pool_mode": random.choice(("transaction", "session")),
        "ignore_startup_parameters": random.choice(("", ",".join(SESSION))),
    }
    await site.execute("ALTER SYSTEM SET synchronous_commit = off", "SELECT pg_reload_conf()")
    pooler = PgBouncer(site.new_directory("pgbouncer"), address_of(site.postgres), **settings)
    await asyncio.to_thread(pooler.start)
    try:
        site.network.lead_to(pooler.socket)
        await asyncio.sleep(random.uniform(1, max(3, outage)))
    finally:
        site.network.lead_to(socket_of(site.postgres))
        await asyncio.to_thread(pooler.stop)
    await site.kill_postgres()  # which loses what was not on disk
    await site.start_postgres()
    await site.execute("ALTER SYSTEM RESET synchronous_commit", "SELECT pg_reload_conf()")


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


async def short_statement_timeout(site: Site, outage: float) -> None:
    """What counting has to catch up with takes longer than the operator allows a statement."""
    counting = await site.connect()
    async with counting.transaction():
        await counting.execute("SELECT pg_advisory_xact_lock(hashtext('cell-monitor progress'))")
        await asyncio.sleep(random.uniform(3, max(5, outage)))
        timeout = max(LEAST_TIMEOUT, await _time_to_count(counting) / 3)
        await site.execute(
            f"ALTER SYSTEM SET statement_timeout = '{timeout * 1000:.0f} ms'",
            "SELECT pg_reload_conf()",
            # What waits to count has no such limit yet.
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'advisory'",
        )
    present = await counting.fetchval("SELECT pg_current_xact_id()")
    await counting.close()
    await _counted(site, present)
    await site.execute("ALTER SYSTEM RESET statement_timeout", "SELECT pg_reload_conf()")


async def _time_to_count(connection: asyncpg.Connection) -> float:
    """Seconds that the next run of counting takes."""
    took = 0.0
    for _ in range(2):  # the first one also makes its plan
        transaction = connection.transaction()
        await transaction.start()
        began = time.monotonic()
        await connection.execute("SELECT count_batches(200)")
        took = time.monotonic() - began
        await transaction.rollback()
    return took


async def _counted(site: Site, batch: int) -> None:
    """Returns once the batches before that one are counted."""
    connection = await site.connect(server_settings={"statement_timeout": "0"})
    async with asyncio.timeout(60):
        while await connection.fetchval(  # noqa: ASYNC110
            "SELECT count(*) FROM outbox_counts WHERE batch < $1", batch
        ):
            await asyncio.sleep(0.2)
    await connection.close()


async def month_detached(site: Site, outage: float) -> None:
    """An operator archives the month in which the events happened, and brings it back later."""
    month = month_of(datetime.now(UTC) - ARCHIVED)
    partitions = {table: f"{table}_{month:%Y_%m}" for table in TABLES}
    async with site.lesson.paused():  # its events are counted, and have their points
        await _finished(site)
        await site.execute(
            *(f"ALTER TABLE {table} DETACH PARTITION {name}" for table, name in partitions.items())
        )
    await asyncio.sleep(random.uniform(1, max(2, outage)))
    bounds = f"FOR VALUES FROM ('{month}') TO ('{month_of(month + timedelta(days=31))}')"
    connection = await site.connect()
    for table, name in partitions.items():
        async with connection.transaction():  # as docs/operations.md says
            if await connection.fetchval("SELECT to_regclass($1)", f"{name}_late"):
                await connection.execute(f"ALTER TABLE {table} DETACH PARTITION {name}_late")
                await connection.execute(
                    f"INSERT INTO {name} TABLE {name}_late ON CONFLICT DO NOTHING"
                )
                await connection.execute(f"DROP TABLE {name}_late")
            await connection.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} {bounds}")
    for student in await connection.fetch("SELECT id FROM students WHERE has_events ORDER BY id"):
        await connection.execute("SELECT recount_students(ARRAY[$1::bigint])", student["id"])
    await connection.close()


async def _finished(site: Site) -> None:
    """Returns when the outboxes are empty."""
    connection = await site.connect()
    async with asyncio.timeout(30):
        while not await connection.fetchval(_OUTBOXES_ARE_EMPTY):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    await connection.close()


_OUTBOXES_ARE_EMPTY = """
    SELECT NOT EXISTS (SELECT FROM outbox_counts) AND NOT EXISTS (SELECT FROM outbox_points)
        AND NOT EXISTS (SELECT FROM outbox_recounts)
"""


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
        fill(disk / "filler")
        await asyncio.sleep(random.uniform(1, max(2, outage)))
        (disk / "filler").unlink()
        await asyncio.sleep(0.5)
        await site.execute(
            *(f"ALTER TABLE {name} SET TABLESPACE pg_default" for name in tables),
            "DROP TABLESPACE small",
        )
    finally:
        unmount(disk)


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


def send_signal(process: psutil.Process, signum: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signum)
