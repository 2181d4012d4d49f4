"""The report of `/health`: each part's state, and the state of the whole server."""

from collections.abc import Mapping
from typing import Literal

import msgspec

State = Literal["ok", "degraded", "down", "off"]
Whole = Literal["ok", "degraded", "down"]


class PartHealth(msgspec.Struct):
    """`off`: not configured. `error` is why a part is not `ok`, where that is known."""

    state: State
    error: str | None = None


class PostgresHealth(PartHealth, kw_only=True):
    """`warning` is what an operator has to do soon, while it is `ok`."""

    warning: str | None = None


class SpoolHealth(PartHealth, kw_only=True):
    """`degraded` while it stands in for PostgreSQL or holds events, `down` when it takes none."""

    events: int


class InfluxHealth(PartHealth, kw_only=True):
    """Counts are of points; `behind` means that some are still to be caught up."""

    written: int = 0
    pending: int = 0
    refused: int = 0
    behind: bool = False


class RedisHealth(PartHealth, kw_only=True):
    """`dropped` counts messages that could not be sent to the other replicas."""

    dropped: int = 0


class StandbyHealth(PartHealth, kw_only=True):
    """`degraded`: it is away, and reads go to the primary. `lag` is in seconds."""

    lag: float = 0.0


class QueueHealth(PartHealth, kw_only=True):
    """`down` while it takes nothing: it is full, or the server is stopping."""

    events: int
    bytes: int


class ConsumersHealth(PartHealth, kw_only=True):
    """`alive` counts the tasks that store batches."""

    alive: int


class Counts(msgspec.Struct):
    """received = stored + duplicates + rejected + spooled + pending, each in items."""

    received: int
    stored: int
    duplicates: int
    rejected: int
    spooled: int
    pending: int


class LedgerHealth(PartHealth, kw_only=True):
    """`total` is of all replicas, and unknown while PostgreSQL is away."""

    process: Counts
    total: Counts | None


class Health(msgspec.Struct, kw_only=True):
    """`down` means that events can't be accepted now; `degraded` that something else is away.

    `consumers` counts the tasks that store batches, `sockets` the open WebSockets. `jobs` are the
    background jobs: one that fails is tried again.
    """

    project: str
    version: str
    status: Whole
    postgres: PostgresHealth
    standby: StandbyHealth
    spool: SpoolHealth
    influxdb: InfluxHealth
    redis: RedisHealth
    queue: QueueHealth
    consumers: int
    sockets: int
    ledger: LedgerHealth
    jobs: dict[str, PartHealth]


def whole(parts: Mapping[str, PartHealth]) -> Whole:
    """`down` without a queue, without consumers, or with neither PostgreSQL nor the spool."""
    down = {name for name, part in parts.items() if part.state == "down"}
    if down & {"queue", "consumers"} or down >= {"postgres", "spool"}:
        return "down"
    return "degraded" if down or any(part.state == "degraded" for part in parts.values()) else "ok"
