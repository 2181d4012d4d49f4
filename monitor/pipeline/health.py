"""The state of each part, and what it means for the whole."""

from typing import Literal

import asyncpg
import msgspec

from monitor.pipeline.batch import EventQueue
from monitor.pipeline.broker import RedisBroker
from monitor.pipeline.consumer import Consumers, Ledger
from monitor.pipeline.hub import Hub
from monitor.pipeline.influx import InfluxSink
from monitor.reads import Reads

State = Literal["ok", "degraded", "down", "off"]
_TIMEOUT = 1.0  # seconds to wait for PostgreSQL's answer


class PostgresHealth(msgspec.Struct):
    state: State
    error: str | None = None


class InfluxHealth(msgspec.Struct):
    state: State
    written: int = 0
    pending: int = 0
    refused: int = 0
    dropped: int = 0
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


class Health(msgspec.Struct):
    """`down` means that events can't be accepted now; `degraded` that something else is away."""

    project: str
    version: str
    status: Literal["ok", "degraded", "down"]
    postgres: PostgresHealth
    standby: StandbyHealth
    influxdb: InfluxHealth
    redis: RedisHealth
    queue: QueueHealth
    consumers: int
    sockets: int
    ledger: Ledger


class Parts(msgspec.Struct):
    """What the health of the server is made of."""

    project: str
    version: str
    pool: asyncpg.Pool
    queue: EventQueue
    consumers: Consumers
    hub: Hub
    influx: InfluxSink | None
    broker: RedisBroker | None
    reads: Reads


async def check(parts: Parts) -> Health:
    """Asks PostgreSQL; of the other parts the state is known."""
    postgres = await _postgres(parts.pool)
    queue = _queue(parts.queue)
    influx = _influx(parts.influx)
    redis = _redis(parts.broker)
    status: Literal["ok", "degraded", "down"] = "ok"
    standby = _standby(parts.reads)
    if "degraded" in (influx.state, redis.state, standby.state):
        status = "degraded"
    if "down" in (postgres.state, queue.state) or not parts.consumers.alive:
        status = "down"
    return Health(
        parts.project,
        parts.version,
        status,
        postgres,
        standby,
        influx,
        redis,
        queue,
        parts.consumers.alive,
        parts.hub.sockets,
        parts.consumers.ledger,
    )


async def _postgres(pool: asyncpg.Pool) -> PostgresHealth:
    try:
        async with pool.acquire(timeout=_TIMEOUT) as connection:
            await connection.execute("SELECT 1", timeout=_TIMEOUT)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        return PostgresHealth("down", str(error) or type(error).__name__)
    return PostgresHealth("ok")


def _standby(reads: Reads) -> StandbyHealth:
    if not reads.has_standby:
        return StandbyHealth("off")
    return StandbyHealth("degraded" if reads.error else "ok", round(reads.lag, 1), reads.error)


def _influx(sink: InfluxSink | None) -> InfluxHealth:
    if sink is None:
        return InfluxHealth("off")
    state: State = "degraded" if sink.failure else "ok"
    return InfluxHealth(state, sink.written, sink.pending, sink.refused, sink.dropped, sink.failure)


def _redis(broker: RedisBroker | None) -> RedisHealth:
    if broker is None:
        return RedisHealth("off")
    return RedisHealth("ok" if broker.connected else "degraded", broker.dropped)


def _queue(queue: EventQueue) -> QueueHealth:
    return QueueHealth("down" if queue.closed or queue.full else "ok", queue.events, queue.bytes)
