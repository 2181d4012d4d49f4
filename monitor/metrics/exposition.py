"""A scrape: collects all metrics and encodes them as the scraper asks."""

import asyncio
from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR
from prometheus_client.core import Metric
from prometheus_client.registry import CollectorRegistry

from monitor.health import ComponentHealth
from monitor.metrics.database import (
    Row,
    outbox_metrics,
    read_outboxes,
    read_school,
    school_metrics,
)
from monitor.metrics.disk import disk_metrics, read_disk
from monitor.metrics.families import Labels, gauges
from monitor.metrics.negotiation import negotiate
from monitor.metrics.process import process_metrics
from monitor.metrics.sample import Sample
from monitor.metrics.sources import Sources

_TIMEOUT = 2.0  # seconds that a scrape waits for PostgreSQL; Prometheus itself waits 10
_HEALTH_AGE = 1.0  # seconds
_OUTBOXES_AGE = 5.0  # seconds
_DISK_AGE = 5.0  # seconds
_SCHOOL_AGE = 60.0  # seconds: it reads a row for each student and class
_STATES = ("ok", "degraded", "down")


class Exposition(NamedTuple):
    """The body of the answer, and its content type."""

    body: bytes
    content_type: str


class Metrics:
    """Answers scrapes within seconds, whatever is away: what can't be known is left out."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._health = Sample("the components' health", sources.health, _HEALTH_AGE)
        self._disk = Sample("the disk", partial(read_disk, sources.data_dir), _DISK_AGE)
        outboxes = partial(read_outboxes, sources.database)
        self._outboxes = Sample("the outboxes", outboxes, _OUTBOXES_AGE)
        self._school = Sample("who is active", partial(read_school, sources.database), _SCHOOL_AGE)

    async def stop(self) -> None:
        """Ends what a scrape has begun."""
        for sample in (self._health, self._disk, self._outboxes, self._school):
            await sample.stop()

    async def scrape(self, accept: str) -> Exposition:
        """In OpenMetrics where the `Accept` header asks for it, else in the text format."""
        health, disk, outboxes, school = await asyncio.gather(
            self._health.get(_TIMEOUT),
            self._disk.get(_TIMEOUT),
            self._ask(self._outboxes),
            self._ask(self._school),
        )
        if health is None or health["postgres"].state == "down":
            outboxes = school = None  # what was read before may be wrong now
        families = [
            *process_metrics(self._sources),
            gauges(
                "scrape_complete",
                "0 for what a scrape could not find out in time, so that its metrics are absent.",
                ("part",),
                {
                    ("components",): health is not None,
                    ("disk",): disk is not None,
                    ("outboxes",): outboxes is not None,
                    ("school",): school is not None,
                },
            ),
            *(_component_metrics(health) if health else ()),
            *(disk_metrics(disk) if disk else ()),
            *(outbox_metrics(outboxes) if outboxes else ()),
            *(school_metrics(school) if school else ()),
            *PROCESS_COLLECTOR.collect(),
            *PLATFORM_COLLECTOR.collect(),
            *GC_COLLECTOR.collect(),
        ]
        encode, content_type = negotiate(accept)
        return Exposition(encode(_Collected(families)), content_type)

    async def _ask(self, sample: Sample[list[Row]]) -> list[Row] | None:
        """While PostgreSQL counts as unavailable, it isn't asked."""
        return None if self._sources.drain.active else await sample.get(_TIMEOUT)


class _Collected(CollectorRegistry):
    """Families that have been collected already, for the encoder."""

    def __init__(self, families: list[Metric]) -> None:
        super().__init__(auto_describe=False)
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _component_metrics(reports: Mapping[str, ComponentHealth]) -> Iterator[Metric]:
    """The state of each component that is configured: 1 for the state it is in, else 0."""
    states: dict[Labels, float] = {
        (name, state): float(report.state == state)
        for name, report in reports.items()
        if report.state != "off"
        for state in _STATES
    }
    text = "1 for the state that a component of the server is in, as /health reports it."
    yield gauges("component_state", text, ("component", "state"), states)
