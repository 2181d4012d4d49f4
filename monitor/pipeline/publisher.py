"""Publishes committed events: to InfluxDB, the dashboards and custom handlers."""

import logging
import time
from collections.abc import Iterable

from monitor.durations import Durations
from monitor.live.hub import Hub
from monitor.pipeline.handler_runner import HandlerRunner
from monitor.pipeline.messages import Messages
from monitor.pipeline.postgres import Stored
from monitor.timeseries.influx import InfluxSink, PointBatch
from monitor.timeseries.line_protocol import line

logger = logging.getLogger(__name__)


class Publisher:
    """Passes new events on, each consumer independently of the others.

    `durations` are from the receipt of a batch's first event until its messages are sent.
    """

    def __init__(
        self, hub: Hub, messages: Messages, runner: HandlerRunner, influx: InfluxSink | None
    ) -> None:
        self._hub = hub
        self._messages = messages
        self._runner = runner
        self._influx = influx
        self.durations = Durations()

    def publish(self, batches: Iterable[Stored]) -> None:
        """Never raises: the events are stored, and their requests answered."""
        for stored in batches:
            for step in (self._write_points, self._notify, self._wake_handlers):
                try:
                    step(stored)
                except Exception:  # one failing consumer must not block the others
                    logger.exception("%d events: %s failed", len(stored.events), step.__name__)

    def _write_points(self, stored: Stored) -> None:
        if self._influx and stored.outbox_id is not None:
            self._influx.put(PointBatch([line(event) for event in stored.events], stored.outbox_id))

    def _notify(self, stored: Stored) -> None:
        self._hub.publish(self._messages.of(stored))
        if stored.events:
            received = stored.events[0].received_at.timestamp()
            self.durations.observe(max(0.0, time.time() - received))

    def _wake_handlers(self, stored: Stored) -> None:
        self._runner.wake(stored.events)
