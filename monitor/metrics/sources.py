"""Where the numbers come from: the components that count them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from monitor.auth.authentication import Authenticator
from monitor.database.embedded.server import EmbeddedPostgres
from monitor.database.pool import Database
from monitor.health import ComponentHealth
from monitor.http.request_counts import RequestCounts
from monitor.jobs.loop_lag import LoopLag
from monitor.live.broker import RedisBroker
from monitor.live.hub import Hub
from monitor.pipeline.consumer import Consumers
from monitor.pipeline.ledger import Ledger
from monitor.pipeline.publisher import Publisher
from monitor.pipeline.queue import EventQueue
from monitor.pipeline.spool.drain import SpoolDrain
from monitor.pipeline.spool.entries import Spool
from monitor.shares import SharesReport
from monitor.timeseries.influx import InfluxSink


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The components of a running server that metrics are read from.

    `pools` returns its connection pools by name. `health` asks all components, which may take
    seconds while PostgreSQL hangs; `database` is asked for what only PostgreSQL knows.
    """

    version: str
    data_dir: Path
    requests: RequestCounts
    authenticator: Authenticator
    shares: SharesReport
    queue: EventQueue
    ledger: Ledger
    consumers: Consumers
    spool: Spool
    drain: SpoolDrain
    publisher: Publisher
    hub: Hub
    broker: RedisBroker | None
    influx: InfluxSink | None
    loop_lag: LoopLag
    embedded: EmbeddedPostgres | None
    database: Database
    pools: Callable[[], Mapping[str, asyncpg.Pool | None]]
    health: Callable[[], Awaitable[Mapping[str, ComponentHealth]]]
