"""Measures how late the event loop is: everybody waits while one call keeps it busy."""

import asyncio
from collections import deque

from monitor.durations import Durations
from monitor.health import EventLoopHealth
from monitor.tasks import Job

_INTERVAL = 0.1  # seconds between two looks
_MEMORY = 600  # looks: the last minute
_TOO_LATE = 1.0  # seconds; clients notice, and PostgreSQL's answers seem to be late


class LoopLag:
    """Looks often, and remembers for a minute how late each look was. `lags` counts them all."""

    name = "event_loop"

    def __init__(self) -> None:
        self.lags = Durations()
        self._latest: deque[float] = deque([0.0], _MEMORY)
        self._due = 0.0  # of the event loop's clock
        self._looking = Job("Measuring the event loop's lag", self._look, interval=_INTERVAL)

    async def start(self) -> None:
        self._due = asyncio.get_running_loop().time()
        self._looking.start()

    async def stop(self, deadline: float) -> None:
        await self._looking.stop()

    async def health(self) -> EventLoopHealth:
        """`degraded` for a minute after a lag that clients notice."""
        lag = max(self._latest)
        if lag < _TOO_LATE:
            return EventLoopHealth("ok", lag=round(lag, 4))
        reason = f"For {lag:.1f} s nobody was served, in the last minute"
        return EventLoopHealth("degraded", reason, lag=round(lag, 4))

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        lag = max(0.0, now - self._due)
        self.lags.observe(lag)
        self._latest.append(lag)
        self._due = now + _INTERVAL
