"""Faults of a school's servers. When a fault returns, all of them run again."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from tests.chaos.faults import database, embedded, going_back, live, servers, spool, timeseries
from tests.chaos.lesson import USUAL, Habits
from tests.chaos.site import Site, can_mount


@dataclass(frozen=True)
class Fault:
    """Harm that is done for about `outage` seconds, and how the students work meanwhile.

    `embedded` is what happens to a server with its own PostgreSQL. What is done `in_break` happens
    while no student works. What is `slow` to recover from is for the long form alone.
    """

    harm: Callable[[Site, float], Awaitable[None]]
    habits: Habits = USUAL
    in_break: bool = False
    embedded: bool = False
    slow: bool = False


async def nothing(site: Site, outage: float) -> None:
    await asyncio.sleep(1)


FAULTS = {
    "kill -9 of a server": Fault(servers.kill_server),
    "kill -9 of both servers": Fault(servers.kill_both_servers),
    "a server hangs": Fault(servers.hang_server, slow=True),
    "kill -9 of PostgreSQL": Fault(database.kill_postgres),
    "kill -9 of PostgreSQL, then of a server": Fault(servers.kill_postgres_and_server, slow=True),
    "PostgreSQL hangs": Fault(database.hang_postgres),
    "the network to PostgreSQL drops all": Fault(database.network_drops, slow=True),
    "SIGTERM while PostgreSQL hangs": Fault(servers.stop_server_while_postgres_hangs, slow=True),
    "PgBouncer is in the way": Fault(database.pooler_in_the_way),
    "PostgreSQL has no connections": Fault(database.no_connections),
    "PostgreSQL is read-only": Fault(database.read_only),
    "PostgreSQL's disk is full": Fault(database.database_disk_full),
    "InfluxDB is down": Fault(timeseries.influx_down),
    "InfluxDB is slow": Fault(timeseries.influx_slow),
    "InfluxDB answers 500": Fault(timeseries.influx_failing),
    "InfluxDB answers 400 on some lines": Fault(timeseries.influx_refusing),
    "Redis is down": Fault(live.redis_down),
    "the same events to two replicas": Fault(nothing, Habits(everywhere=True)),
    "the spool's bound is reached": Fault(spool.spool_bound),
    "the spool's disk is full": Fault(spool.spool_disk_full),
    "a page of the spool is damaged": Fault(spool.page_damaged, slow=True),
    "SIGTERM under load": Fault(servers.stop_server),
    "SIGTERM under load, without PostgreSQL": Fault(
        servers.stop_server_without_postgres, slow=True
    ),
    "poison among good events": Fault(nothing, Habits(poison=True)),
    "clients ask for an upgrade to HTTP 2": Fault(nothing, Habits(upgrading=True)),
    "poison while PostgreSQL is away": Fault(database.kill_postgres, Habits(poison=True)),
    "a dump is restored": Fault(going_back.dump_restored, in_break=True, slow=True),
    "a standby is promoted": Fault(going_back.standby_promoted, in_break=True, slow=True),
    "InfluxDB is down while old events come": Fault(
        timeseries.influx_down_while_old_events_come,
        Habits(age=timeseries.KEPT + timedelta(days=10), most=100),
    ),
    "statements may take only a while": Fault(
        database.short_statement_timeout, Habits(most=500), slow=True
    ),
    "the month of the events is detached": Fault(
        database.month_detached, Habits(age=database.ARCHIVED), slow=True
    ),
    "DATA_DIR's disk is full at the start": Fault(servers.start_on_full_disk),
    "a server's clock is off by two days": Fault(servers.clock_off, Habits(everywhere=True)),
    "Redis has small buffers": Fault(live.small_buffers, Habits(most=100), slow=True),
    "the embedded PostgreSQL dies on a full disk": Fault(
        embedded.die_on_full_disk, embedded=True, slow=True
    ),
    "SIGTERM with an embedded PostgreSQL": Fault(embedded.stop, embedded=True),
    "a replica never returns": Fault(timeseries.never_returns, slow=True),
}
NEEDS_MOUNT = {
    "PostgreSQL's disk is full",
    "the spool's disk is full",
    "DATA_DIR's disk is full at the start",
    "the embedded PostgreSQL dies on a full disk",
}


def possible() -> list[str]:
    """The faults that can be had here: only root can mount a disk that is full."""
    return [name for name in FAULTS if name not in NEEDS_MOUNT or can_mount()]
