"""The time series: a sink that sends points to InfluxDB 1.x or 2.x, a batch at a time."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import tenacity

from monitor.database.dead_letters import DeadLetters
from monitor.events.event import Rejected, Source
from monitor.health import InfluxHealth
from monitor.tasks import Job, remaining
from monitor.timeseries.influx_client import WRITE_ERRORS, Client, InfluxError, Target
from monitor.timeseries.line_protocol import PointKey, key_of
from monitor.timeseries.outbox import PointsOutbox

logger = logging.getLogger(__name__)

_MAX_LINES = 5000  # in one request
_RETRY_INTERVAL = 2.0  # seconds, at most, between attempts while InfluxDB is unavailable
_SWEEP_INTERVAL = 20.0  # seconds between looks for what other replicas have left
_LIST_TIMEOUT = 10.0  # seconds for the points of a request that are refused
_ABANDONED_AGE = 60.0  # seconds after which another replica may claim a row of the outbox


class PointBatch(NamedTuple):
    """The points of a batch of events, in line protocol, and the batch's row of the outbox."""

    lines: list[str]
    outbox_id: int


class _Refused(NamedTuple):
    """A point that InfluxDB refuses, as a line, and its reason."""

    line: str
    reason: str


class InfluxSink:
    """Writes points in the background, so that nobody waits for InfluxDB.

    Usually from memory, up to `max_pending` points. With more, or while InfluxDB is unavailable,
    it is `behind`: it keeps no points in memory, and catches up from the outbox. The outbox also
    has the points that replicas left behind when they died.

    `written`, `refused` and `pending` count points.
    """

    name = "influxdb"

    def __init__(
        self,
        target: Target,
        outbox: PointsOutbox,
        dead_letters: DeadLetters,
        max_pending: int,
    ) -> None:
        self._target = target
        self._outbox = outbox
        self._dead_letters = dead_letters
        self._max_pending = max_pending
        self._pending: deque[PointBatch] = deque()
        self._idle = asyncio.Event()
        self._job = Job(
            "Writing points",
            self._work,
            max_backoff=_RETRY_INTERVAL,
            expected=WRITE_ERRORS,
        )
        self._client = Client(target)
        self._swept_at = 0.0
        self.behind = True  # an earlier run may have left rows in the outbox
        self.written = self.refused = self.pending = 0

    async def start(self) -> None:
        self._job.start()

    async def stop(self, deadline: float) -> None:
        """Ends the task once all points are written, or at `deadline` (event loop's clock)."""
        if self._job.running and not self._job.failure:
            with suppress(TimeoutError):  # what is not written stays in the outbox
                await asyncio.wait_for(self._idle.wait(), remaining(deadline))
        await self._job.stop()
        await self._client.close()

    async def health(self) -> InfluxHealth:
        job = self._job.health()
        return InfluxHealth(
            job.state,
            job.error,
            written=self.written,
            pending=self.pending,
            refused=self.refused,
            behind=self.behind,
        )

    def put(self, batch: PointBatch) -> None:
        """Takes a batch without waiting; beyond `max_pending` points only the outbox keeps it."""
        if self.behind or self.pending + len(batch.lines) > self._max_pending:
            self._fall_behind()
        else:
            self._pending.append(batch)
            self.pending += len(batch.lines)
        self._idle.clear()
        self._job.wake()

    async def write(self, lines: Sequence[str]) -> None:
        """Writes points, given as lines; those that InfluxDB refuses become dead letters.

        Raises InfluxError or aiohttp.ClientError if InfluxDB is unavailable.
        """
        if refused := await self._write(lines):
            await self._list(refused)

    async def _write(self, lines: Sequence[str]) -> list[_Refused]:
        """Returns those that InfluxDB refuses."""
        try:
            await self.send("\n".join(lines).encode())
        except InfluxError as error:
            if not error.is_points_fault:
                raise
            return await self._find_refused(lines, error)
        self.written += len(lines)
        return []

    async def _find_refused(self, lines: Sequence[str], error: InfluxError) -> list[_Refused]:
        """Those that are too old, or by bisection: the answer names one point at most.

        Writing a point again is safe.
        """
        if len(lines) == 1:
            return [_Refused(lines[0], str(error))]
        if 0 < error.too_old <= len(lines):
            by_time = sorted(lines, key=lambda line: key_of(line)[1])
            old = [_Refused(line, str(error)) for line in by_time[: error.too_old]]
            others = by_time[error.too_old :]
            return old + (await self._write(others) if others else [])
        middle = len(lines) // 2
        return await self._write(lines[:middle]) + await self._write(lines[middle:])

    async def _list(self, refused: list[_Refused]) -> None:
        """Keeps them as dead letters of their classes."""
        classes = await self._outbox.classes_of([each.line for each in refused])
        letters = [
            Rejected(0, "", each.reason, each.line, source=Source(class_id=class_id))
            for each, class_id in zip(refused, classes, strict=True)
        ]
        deadline = asyncio.get_running_loop().time() + _LIST_TIMEOUT
        await self._dead_letters.add("influxdb", letters, deadline)
        self.refused += len(refused)
        logger.error(
            "%d points were refused: see what GET /rejected-events lists of `influxdb`",
            len(refused),
        )

    async def delete(self, points: Sequence[PointKey]) -> None:
        """Deletes points; one that is not there is no error.

        Raises InfluxError, aioinflux.InfluxDBError or aiohttp.ClientError.
        """
        await self._client.delete(points)

    def _fall_behind(self) -> None:
        self.behind = True
        self._pending.clear()
        self.pending = 0

    async def _work(self) -> float:
        """Does what is due; returns the seconds until there may be more."""
        try:
            return await self._catch_up_or_write()
        except Exception:  # the outbox still has what was not written
            self._fall_behind()
            raise

    async def _catch_up_or_write(self) -> float:
        if self.behind:
            await self._catch_up()
            return 0.0
        if self._until_sweep <= 0:
            if not await self._outbox.catch_up(self.write, _ABANDONED_AGE):
                self._swept_at = time.monotonic()
            return 0.0
        while self._pending and self._until_sweep > 0:
            await self._write_pending()
        if self.behind:
            return 0.0
        if not self._pending:
            self._idle.set()
        return self._until_sweep

    @property
    def _until_sweep(self) -> float:
        return self._swept_at + _SWEEP_INTERVAL - time.monotonic()

    async def _catch_up(self) -> None:
        if await self._outbox.catch_up(self.write, 0):
            return
        self.behind = False  # from now on points are kept in memory; those just before were not
        if await self._outbox.catch_up(self.write, 0):
            self.behind = True

    async def _write_pending(self) -> None:
        lines: list[str] = []
        outbox_ids = []
        while self._pending and len(lines) < _MAX_LINES:
            batch = self._pending.popleft()
            lines += batch.lines
            outbox_ids.append(batch.outbox_id)
        self.pending -= len(lines)
        await self.write(lines)
        await self._outbox.delete(outbox_ids)

    @tenacity.retry(
        retry=tenacity.retry_if_exception(
            lambda error: (
                isinstance(error, WRITE_ERRORS)
                and not (isinstance(error, InfluxError) and error.is_points_fault)
            )
        ),
        wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=2),
        stop=tenacity.stop_after_attempt(4),
        reraise=True,
    )
    async def send(self, lines: bytes) -> None:
        """Writes lines as they are. Raises InfluxError or aiohttp.ClientError after 4 attempts."""
        try:
            await self._client.write(lines)
        except InfluxError as error:
            if not error.lacks_database or self._target.org:
                raise
            await self._client.create_database()
            await self._client.write(lines)
