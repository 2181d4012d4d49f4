"""The state of each part, and what it means for the whole."""

from typing import Literal

import asyncpg
import msgspec

from monitor.database.partitions import partition_warning
from monitor.database.pool import DATABASE_ERRORS
from monitor.database.reads import Reads
from monitor.live.broker import RedisBroker
from monitor.live.hub import Hub
from monitor.pipeline.consumer import Consumers
from monitor.pipeline.ledger import Counts, Ledger, total
from monitor.pipeline.queue import EventQueue
from monitor.pipeline.spool.drain import SpoolDrain
from monitor.pipeline.spool.entries import Spool
from monitor.timeseries.influx import InfluxSink

State = Literal["ok", "degraded", "down", "off"]
_TIMEOUT = 1.0  # seconds to wait for PostgreSQL's answer


class PostgresHealth(msgspec.Struct):
    """`warning`: PostgreSQL works, and an operator has to do something before it stops to."""

    state: State
    error: str | None = None
    warning: str | None = None


class SpoolHealth(msgspec.Struct):
    """`degraded` while it stands in for PostgreSQL or holds events, `down` when it takes none."""

    state: State
    events: int
    error: str | None


class InfluxHealth(msgspec.Struct):
    """Counts are of points; `behind` means that some are still to be caught up."""

    state: State
    written: int = 0
    pending: int = 0
    refused: int = 0
    behind: bool = False
    error: str | None = None


class RedisHealth(msgspec.Struct):
    state: State
    dropped: int = 0


class StandbyHealth(msgspec.Struct):
    """`degraded`: it is away, and reads go to the primary. `lag` is in seconds."""

    state: State
    lag: float = 0.0
    error: str | None = None


class QueueHealth(msgspec.Struct):
    state: State
    events: int
    bytes: int


class LedgerHealth(msgspec.Struct):
    """`total` is of all replicas, and unknown while PostgreSQL is away."""

    process: Counts
    total: Counts | None


class Health(msgspec.Struct):
    """`down` means that events can't be accepted now; `degraded` that something else is away."""

    project: str
    version: str
    status: Literal["ok", "degraded", "down"]
    postgres: PostgresHealth
    standby: StandbyHealth
    spool: SpoolHealth
    influxdb: InfluxHealth
    redis: RedisHealth
    queue: QueueHealth
    consumers: int
    sockets: int
    ledger: LedgerHealth


class Parts(msgspec.Struct):
    """What the health of the server is made of."""

    project: str
    version: str
    pool: asyncpg.Pool
    queue: EventQueue
    spool: Spool
    fallback: SpoolDrain
    ledger: Ledger
    consumers: Consumers
    hub: Hub
    influx: InfluxSink | None
    broker: RedisBroker | None
    reads: Reads


async def check(parts: Parts) -> Health:
    """Asks PostgreSQL; of the other parts the state is known."""
    postgres, ledger = await _postgres(parts)
    spool = _spool(parts.spool, parts.fallback)
    queue = _queue(parts.queue)
    influx = _influx(parts.influx)
    redis = _redis(parts.broker)
    status: Literal["ok", "degraded", "down"] = "ok"
    standby = _standby(parts.reads)
    if {"degraded", "down"} & {part.state for part in (postgres, standby, spool, influx, redis)}:
        status = "degraded"
    nowhere = postgres.state == spool.state == "down"
    if nowhere or queue.state == "down" or not parts.consumers.alive:
        status = "down"
    return Health(
        parts.project,
        parts.version,
        status,
        postgres,
        standby,
        spool,
        influx,
        redis,
        queue,
        parts.consumers.alive,
        parts.hub.sockets,
        ledger,
    )


async def _postgres(parts: Parts) -> tuple[PostgresHealth, LedgerHealth]:
    own = parts.ledger.counts()
    if parts.fallback.active:
        return PostgresHealth("down", parts.fallback.reason), LedgerHealth(own, None)
    try:
        async with parts.pool.acquire(timeout=_TIMEOUT) as connection:
            whole = await total(connection, parts.spool.replica, own, _TIMEOUT)
            warning = await partition_warning(connection, _TIMEOUT)
    except DATABASE_ERRORS as error:
        state = PostgresHealth("down", str(error) or type(error).__name__)
        return state, LedgerHealth(own, None)
    return PostgresHealth("ok", warning=warning), LedgerHealth(own, whole)


def _spool(spool: Spool, fallback: SpoolDrain) -> SpoolHealth:
    state: State = "degraded" if fallback.active or spool.events else "ok"
    return SpoolHealth("down" if spool.failure else state, spool.events, spool.failure)


def _standby(reads: Reads) -> StandbyHealth:
    if not reads.has_standby:
        return StandbyHealth("off")
    return StandbyHealth("degraded" if reads.error else "ok", round(reads.lag, 1), reads.error)


def _influx(sink: InfluxSink | None) -> InfluxHealth:
    if sink is None:
        return InfluxHealth("off")
    state: State = "degraded" if sink.failure else "ok"
    return InfluxHealth(state, sink.written, sink.pending, sink.refused, sink.behind, sink.failure)


def _redis(broker: RedisBroker | None) -> RedisHealth:
    if broker is None:
        return RedisHealth("off")
    return RedisHealth("ok" if broker.connected else "degraded", broker.dropped)


def _queue(queue: EventQueue) -> QueueHealth:
    return QueueHealth("down" if queue.closed or queue.full else "ok", queue.events, queue.bytes)
