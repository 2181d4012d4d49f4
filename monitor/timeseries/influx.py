"""The time series: a sink that sends points to InfluxDB 1.x or 2.x, a batch at a time."""

import asyncio
import logging
import time
import warnings
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
import tenacity

from monitor.database.dead_letters import DeadLetters
from monitor.database.pool import DATABASE_ERRORS
from monitor.errors import Unavailable
from monitor.events.event import Rejected
from monitor.health import InfluxHealth
from monitor.tasks import Job, remaining
from monitor.timeseries.delete_requests import body, statement
from monitor.timeseries.line_protocol import PointKey
from monitor.timeseries.outbox import PointsOutbox

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns that pandas is missing, which is not needed
    import aioinflux

logger = logging.getLogger(__name__)

_MAX_LINES = 5000  # in one request
_MAX_STATEMENTS = 100  # in one request
_REQUEST_TIMEOUT = 10.0  # seconds
_RETRY_INTERVAL = 2.0  # seconds, at most, between attempts while InfluxDB is unavailable
_SWEEP_INTERVAL = 20.0  # seconds between looks for what other replicas have left
_ABANDONED_AGE = 60.0  # seconds after which another replica may claim a row of the outbox


class Target(NamedTuple):
    """Where points go. With an organisation it is a 2.x server, else a 1.x one.

    `user` and `password` are for 1.x.
    """

    url: str
    bucket: str
    token: str
    org: str
    user: str = ""
    password: str = ""

    def headers(self) -> dict[str, str]:
        """Those of each request."""
        if self.token:
            return {"Authorization": f"Token {self.token}"}
        if self.user:  # aioinflux's own would be in Latin-1
            login = aiohttp.BasicAuth(self.user, self.password, "utf-8")
            return {"Authorization": login.encode()}
        return {}


class InfluxError(Exception):
    """InfluxDB's answer to a write that it did not take."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"InfluxDB answered {status}: {body.strip()[:1000]}")
        self.is_points_fault = status in (400, 413, 422)
        self.lacks_database = status == 404


class _Client(aioinflux.InfluxDBClient):  # type: ignore[misc]
    """aioinflux with the write endpoint of 2.x beside that of 1.x, and InfluxDB's own errors."""

    def __init__(self, target: Target) -> None:
        url = urlsplit(target.url)
        super().__init__(
            host=url.hostname,
            port=url.port or (443 if url.scheme == "https" else 8086),
            path=url.path.rstrip("/") + "/",
            ssl=url.scheme == "https",
            db=target.bucket,
            timeout=_REQUEST_TIMEOUT,
            headers=target.headers(),
        )
        self._org = target.org
        self._endpoint, self._params = "write", {"db": target.bucket}
        if target.org:
            self._endpoint = "api/v2/write"
            self._params = {"org": target.org, "bucket": target.bucket, "precision": "ns"}

    async def write(self, lines: bytes) -> None:
        if not self._session:
            await self.create_session()
        url = self.url.format(endpoint=self._endpoint)
        async with self._session.post(url, params=self._params, data=lines) as response:
            if response.status != 204:
                raise InfluxError(response.status, await response.text())

    async def delete(self, points: Sequence[PointKey]) -> None:
        if self._org:
            await self._delete_one_by_one(points)
            return
        for first in range(0, len(points), _MAX_STATEMENTS):
            await self.query("; ".join(map(statement, points[first : first + _MAX_STATEMENTS])))

    async def _delete_one_by_one(self, points: Sequence[PointKey]) -> None:
        if not self._session:
            await self.create_session()
        url = self.url.format(endpoint="api/v2/delete")
        params = {"org": self._org, "bucket": self._params["bucket"]}
        for point in points:
            async with self._session.post(url, params=params, json=body(point)) as response:
                if response.status != 204:
                    raise InfluxError(response.status, await response.text())


WRITE_ERRORS = (
    InfluxError,
    aioinflux.InfluxDBError,
    aiohttp.ClientError,
    Unavailable,
    *DATABASE_ERRORS,
)


class PointBatch(NamedTuple):
    """The points of a batch of events, in line protocol, and the batch's row of the outbox."""

    lines: list[str]
    outbox_id: int


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
        self._client = _Client(target)
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
        try:
            await self.send("\n".join(lines).encode())
        except InfluxError as error:
            if not error.is_points_fault:
                raise
            await self._find_refused(lines, error)
        else:
            self.written += len(lines)

    async def delete(self, points: Sequence[PointKey]) -> None:
        """Deletes points; one that is not there is no error.

        Raises InfluxError, aioinflux.InfluxDBError or aiohttp.ClientError.
        """
        await self._client.delete(points)

    async def _find_refused(self, lines: Sequence[str], error: InfluxError) -> None:
        """By bisection: the answer names one point at most; writing a point again is safe."""
        if len(lines) > 1:
            await self.write(lines[: len(lines) // 2])
            await self.write(lines[len(lines) // 2 :])
            return
        self.refused += 1
        logger.error("A point was refused: see what GET /rejected-events lists of `influxdb`")
        letter = Rejected(0, "", str(error), lines[0])
        await self._dead_letters.add("influxdb", [letter], asyncio.get_running_loop().time() + 10)

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
