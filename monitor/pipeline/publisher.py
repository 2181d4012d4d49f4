"""Tells all who want to know what has been committed."""

import logging
from collections.abc import Iterable

from monitor.live.hub import Hub
from monitor.pipeline.handlers import HandlerRunner
from monitor.pipeline.messages import execution_updates
from monitor.pipeline.postgres import Stored
from monitor.timeseries.influx import InfluxSink, PointBatch
from monitor.timeseries.line_protocol import line

logger = logging.getLogger(__name__)


class Publisher:
    """Passes new events on to InfluxDB, to the dashboards, and to custom handlers."""

    def __init__(self, hub: Hub, runner: HandlerRunner, influx: InfluxSink | None) -> None:
        self._hub = hub
        self._runner = runner
        self._influx = influx

    def publish(self, batches: Iterable[Stored]) -> None:
        """Never raises: the events are stored, whoever could not be told."""
        for stored in batches:
            for tell in (self._draw, self._show, self._handle):
                try:
                    tell(stored)
                except Exception:  # who can't be told must not keep the others from hearing
                    logger.exception("%d events: %s failed", len(stored.events), tell.__name__)

    def _draw(self, stored: Stored) -> None:
        if self._influx and stored.outbox_id is not None:
            self._influx.put(PointBatch([line(event) for event in stored.events], stored.outbox_id))

    def _show(self, stored: Stored) -> None:
        self._hub.publish(execution_updates(stored))

    def _handle(self, stored: Stored) -> None:
        self._runner.wake(stored.events)
