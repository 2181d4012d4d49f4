"""The report of `/health`: each component's state, and the state of the whole server."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_type_hints

import msgspec

State = Literal["ok", "degraded", "down", "off"]
Whole = Literal["ok", "degraded", "down"]


class ComponentHealth(msgspec.Struct):
    """`off`: not configured. `error` is why a component is not `ok`, where that is known.

    All that a component adds to this has a default, for when it is off or can't be asked.
    """

    state: State
    error: str | None = None


class PostgresHealth(ComponentHealth, kw_only=True):
    """`warning` is what an operator has to do soon, while it is `ok`."""

    warning: str | None = None


class SpoolHealth(ComponentHealth, kw_only=True):
    """`degraded` while it stands in for PostgreSQL or holds events, `down` when it takes none.

    `damaged` counts the items that could not be read from its files: they are dead letters.
    `degraded` too while damaged files are kept, which `error` names.
    """

    events: int = 0
    damaged: int = 0


class InfluxHealth(ComponentHealth, kw_only=True):
    """Counts are of points; `behind` means that some are still to be caught up."""

    written: int = 0
    pending: int = 0
    refused: int = 0
    behind: bool = False


class RedisHealth(ComponentHealth, kw_only=True):
    """`dropped` counts messages that could not be sent to the other replicas."""

    dropped: int = 0


class StandbyHealth(ComponentHealth, kw_only=True):
    """`degraded`: it is away, and reads go to the primary. `lag` is in seconds."""

    lag: float = 0.0


class QueueHealth(ComponentHealth, kw_only=True):
    """`down` while it takes nothing: it is full, or the server is stopping."""

    events: int = 0
    bytes: int = 0


class ConsumersHealth(ComponentHealth, kw_only=True):
    """`alive` counts the tasks that store batches."""

    alive: int = 0


class SharesHealth(ComponentHealth, kw_only=True):
    """How often a caller was at their bound, and all together at theirs, by what is shared."""

    refused: dict[str, int] = msgspec.field(default_factory=dict)
    exhausted: dict[str, int] = msgspec.field(default_factory=dict)


class EventLoopHealth(ComponentHealth, kw_only=True):
    """`lag` is how late the event loop was at most in the last minute, in seconds."""

    lag: float = 0.0


class NotificationsHealth(ComponentHealth, kw_only=True):
    """`degraded`: operators' notifications are not delivered. `failing` counts classes' receivers.

    These are their teachers' to see to: their last message could not be delivered.
    """

    failing: int = 0


class Counts(msgspec.Struct):
    """received = stored + duplicates + rejected + spooled + pending + withdrawn, each in items.

    What one process counts is how it answered: only in the total are stored items withdrawn later.
    """

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    spooled: int = 0
    pending: int = 0
    withdrawn: int = 0


class LedgerHealth(ComponentHealth, kw_only=True):
    """`total` is of all replicas, and unknown while PostgreSQL is away."""

    process: Counts = msgspec.field(default_factory=Counts)
    total: Counts | None = None


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
    shares: SharesHealth
    event_loop: EventLoopHealth
    notifications: NotificationsHealth
    jobs: dict[str, ComponentHealth]


_Report = TypeVar("_Report", bound=ComponentHealth)
_KINDS: dict[str, type[ComponentHealth]] = {  # of those with a field of their own
    name: kind
    for name, kind in get_type_hints(Health).items()
    if isinstance(kind, type) and issubclass(kind, ComponentHealth)
}


def summarise(
    reports: Mapping[str, ComponentHealth], *, project: str, version: str, sockets: int
) -> Health:
    """`/health`'s answer. `reports` are by name; those without a field of their own are `jobs`."""
    jobs = dict(reports)
    own: dict[str, Any] = {
        name: _typed(kind, jobs.pop(name, None)) for name, kind in _KINDS.items()
    }
    return Health(
        project=project,
        version=version,
        status=whole(reports),
        consumers=_typed(ConsumersHealth, jobs.pop("consumers", None)).alive,
        sockets=sockets,
        **own,
        jobs=jobs,
    )


def _typed(kind: type[_Report], report: ComponentHealth | None) -> _Report:
    """The report of a component that is not configured, or that could not make one of its kind."""
    if report is None:
        return kind("off")
    return report if isinstance(report, kind) else kind(report.state, report.error)


def whole(reports: Mapping[str, ComponentHealth]) -> Whole:
    """`down` without a queue, without consumers, or with neither PostgreSQL nor the spool."""
    down = {name for name, report in reports.items() if report.state == "down"}
    if down & {"queue", "consumers"} or down >= {"postgres", "spool"}:
        return "down"
    return (
        "degraded" if down or any(each.state == "degraded" for each in reports.values()) else "ok"
    )
