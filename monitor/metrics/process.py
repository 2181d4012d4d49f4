"""Metrics of what this process counts itself: they are known whatever else is away."""

import re
from collections.abc import Iterator

from prometheus_client.core import Metric

from monitor.metrics.families import (
    counter,
    counters,
    gauge,
    gauges,
    histogram,
    histograms,
)
from monitor.metrics.sources import Sources


def process_metrics(sources: Sources) -> Iterator[Metric]:
    """All of them."""
    yield gauges(
        "build_info",
        "Always 1; the label is the server's version.",
        ("version",),
        {(sources.version,): 1},
    )
    for part in (_ingest, _storing, _requests, _live, _access, _connections, _influx):
        yield from part(sources)


def _ingest(sources: Sources) -> Iterator[Metric]:
    counts, consumers, drain = sources.ledger.counts(), sources.consumers, sources.drain
    policy = sources.ledger.rejected_by_policy
    done = counts.stored + counts.duplicates + counts.rejected
    yield counter(
        "ingest_accepted_items",
        "Items of requests that were answered with 202 or 422: each is stored, spooled, a"
        " duplicate or rejected.",
        done - drain.drained + consumers.spooled.total(),
    )
    yield counter(
        "ingest_stored_items",
        "Events committed by PostgreSQL for the first time, from requests or from the spool.",
        counts.stored,
    )
    yield counter(
        "ingest_duplicate_items", "Events that were stored before: retries.", counts.duplicates
    )
    yield counters(
        "ingest_rejected_items",
        "Items kept as dead letters: invalid ones, and those that the policy of their class"
        " keeps out.",
        ("reason",),
        {("invalid",): counts.rejected - policy, ("policy",): policy},
    )
    yield counters(
        "ingest_spooled_items",
        "Items written to the spool: PostgreSQL is away, or slow for those of one source.",
        ("reason",),
        {(reason,): n for reason, n in consumers.spooled.items()},
    )
    yield counters(
        "ingest_refused_requests",
        "Requests of ingest that were answered with an error; well-behaved clients send most of"
        " them again.",
        ("reason",),
        {(_snake(kind.__name__),): n for kind, n in sources.requests.refused.items()},
    )
    yield histogram(
        "ingest_duration_seconds",
        "From a request's complete body until the answer, when its events are on disk.",
        sources.requests.posts,
    )


def _storing(sources: Sources) -> Iterator[Metric]:
    queue, spool, drain = sources.queue, sources.spool, sources.drain
    yield gauge("queue_items", "Items that wait to be stored or are being stored.", queue.events)
    yield gauge("queue_bytes", "Bytes of their requests.", queue.bytes)
    yield gauge("queue_max_items", "QUEUE_MAX_EVENTS.", queue.max_events)
    yield gauge("queue_max_bytes", "QUEUE_MAX_BYTES.", queue.max_bytes)
    yield histogram(
        "commit_duration_seconds",
        "From taking a batch of requests until PostgreSQL has committed it.",
        sources.consumers.commits,
    )
    yield gauge("spool_items", "Items in the spool of this replica.", spool.events)
    yield gauge(
        "spool_active",
        "1 while events go to the spool because PostgreSQL counts as unavailable.",
        drain.active,
    )
    yield gauge("spool_failed", "1 while the spool can't be written to.", spool.failure is not None)
    yield counter(
        "spool_drained_items",
        "Items of the spool that are stored, duplicates or dead letters now.",
        drain.drained,
    )


def _requests(sources: Sources) -> Iterator[Metric]:
    yield histograms(
        "request_duration_seconds",
        "All requests except ingest, by the first part of the path, from headers to the end of"
        " the answer.",
        ("group", "kind"),
        sorted(sources.requests.durations.items()),
    )
    yield counters(
        "requests",
        "All requests except ingest, by the status of the answer.",
        ("group", "kind", "status"),
        {
            (group, kind, str(status)): n
            for (group, kind, status), n in sources.requests.answers.items()
        },
    )
    yield histogram(
        "event_loop_lag_seconds",
        "How late the event loop was, looked at ten times a second: nobody is served meanwhile.",
        sources.loop_lag.lags,
    )


def _live(sources: Sources) -> Iterator[Metric]:
    hub = sources.hub
    yield gauge("sockets", "WebSockets that are open.", hub.sockets)
    yield counter("sockets_opened", "WebSockets that were accepted.", hub.joined)
    yield counter(
        "sockets_closed_slow", "WebSockets closed with 3008: they did not keep up.", hub.slow
    )
    yield counter(
        "live_deliveries",
        "Live messages handed to subscribed sockets: one message to ten sockets counts ten.",
        hub.deliveries,
    )
    yield histogram(
        "live_duration_seconds",
        "From the receipt of a batch's first event until its messages are written to the sockets.",
        sources.publisher.durations,
    )
    yield gauge(
        "live_stale", "1 while messages of other replicas don't arrive through Redis.", hub.stale
    )
    if sources.broker:
        yield counter(
            "redis_dropped_messages",
            "Live messages that could not be sent to the other replicas.",
            sources.broker.dropped,
        )


def _access(sources: Sources) -> Iterator[Metric]:
    yield counters(
        "logins",
        "Credentials verified anew, by their outcome; a token or a login counts again each 20 s of"
        " use, a valid key of a class not at all.",
        ("kind", "outcome"),
        sources.authenticator.outcomes,
    )
    refused, exhausted = sources.shares.counts()
    yield counters(
        "limit_refusals",
        "How often a caller was at their bound, by what is limited.",
        ("limit",),
        {(what,): n for what, n in refused.items()},
    )
    yield counters(
        "limit_exhaustions",
        "How often all callers together were at the bound, by what is limited.",
        ("limit",),
        {(what,): n for what, n in exhausted.items()},
    )


def _connections(sources: Sources) -> Iterator[Metric]:
    connections: dict[tuple[str, ...], float] = {}
    most: dict[tuple[str, ...], float] = {}
    for name, pool in sources.pools().items():
        if pool is not None:
            idle = pool.get_idle_size()
            connections[name, "idle"] = idle
            connections[name, "used"] = pool.get_size() - idle
            most[name,] = pool.get_max_size()
    yield gauges(
        "postgres_connections", "Connections to PostgreSQL.", ("pool", "state"), connections
    )
    yield gauges("postgres_max_connections", "The most that a pool opens.", ("pool",), most)
    if sources.embedded:
        yield counter(
            "embedded_postgres_restarts",
            "How often the embedded PostgreSQL had ended by itself, and was started again.",
            sources.embedded.restarts,
        )


def _influx(sources: Sources) -> Iterator[Metric]:
    if influx := sources.influx:
        yield counter("influxdb_written_points", "Points that InfluxDB has taken.", influx.written)
        yield counter(
            "influxdb_refused_points",
            "Points that InfluxDB refused: they are dead letters.",
            influx.refused,
        )
        yield gauge(
            "influxdb_pending_points", "Points in memory that wait for InfluxDB.", influx.pending
        )
        yield gauge(
            "influxdb_behind",
            "1 while points are caught up from the outbox, not written from memory.",
            influx.behind,
        )


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
