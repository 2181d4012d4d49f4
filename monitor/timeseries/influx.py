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
from monitor.tasks import cancel_and_wait
from monitor.timeseries.outbox import Outbox

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns that it does without pandas
    import aioinflux

logger = logging.getLogger(__name__)

_MAX_LINES = 5000
_TIMEOUT = 10.0  # seconds for one request
_PAUSE = 2.0  # seconds between tries while InfluxDB is away
_SWEEP = 20.0  # seconds between looks for what others have left
_ABANDONED = 60.0  # seconds after which a note is taken to be nobody's


class Target(NamedTuple):
    """Where points go. With an organisation it is a 2.x server, else a 1.x one."""

    url: str
    bucket: str
    token: str
    org: str


class InfluxError(Exception):
    """InfluxDB's answer to a write that it did not take."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"InfluxDB answered {status}: {body.strip()[:1000]}")
        self.blames_points = status in (400, 413, 422)
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
            timeout=_TIMEOUT,
            headers={"Authorization": f"Token {target.token}"} if target.token else {},
        )
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


WRITE_ERRORS = (
    InfluxError,
    aioinflux.InfluxDBError,
    aiohttp.ClientError,
    Unavailable,
    *DATABASE_ERRORS,
)


class PointBatch(NamedTuple):
    """Points in line protocol, and the note of them in the outbox."""

    lines: list[str]
    note: int


class InfluxSink:
    """Sends points in the background, so that nobody waits for InfluxDB.

    While it can't be reached, nothing is kept in memory: the outbox knows what is to be caught up.
    So it does for what is more than `max_pending` points, and for replicas that never came back.
    """

    def __init__(
        self,
        target: Target,
        outbox: Outbox,
        dead_letters: DeadLetters,
        max_pending: int,
    ) -> None:
        self._target = target
        self._outbox = outbox
        self._dead_letters = dead_letters
        self._max_pending = max_pending
        self._pending: deque[PointBatch] = deque()
        self._waiting = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._client = _Client(target)
        self._swept_at = 0.0
        self.behind = True  # an earlier run may have left notes
        self.failure: str | None = None
        self.written = self.refused = self.pending = 0

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self, patience: float) -> None:
        """Ends the task once all points are written, or after `patience` seconds."""
        if self._task:
            if not self.failure:
                with suppress(TimeoutError):  # the outbox knows what is still to be written
                    await asyncio.wait_for(self._idle.wait(), patience)
            await cancel_and_wait(self._task)
        await self._client.close()

    def put(self, batch: PointBatch) -> None:
        if self.behind or self.pending + len(batch.lines) > self._max_pending:
            self._fall_behind()
        else:
            self._pending.append(batch)
            self.pending += len(batch.lines)
        self._idle.clear()
        self._waiting.set()

    async def write(self, lines: Sequence[str]) -> None:
        """Writes points; those that InfluxDB refuses become dead letters.

        Raises InfluxError, or what aiohttp raises, when it can't be reached.
        """
        try:
            await self.send("\n".join(lines).encode())
        except InfluxError as error:
            if not error.blames_points:
                raise
            await self._find_refused(lines, error)
        else:
            self.written += len(lines)

    async def _find_refused(self, lines: Sequence[str], error: InfluxError) -> None:
        """By halving: the answer tells of one point at most, and to write a point again is safe."""
        if len(lines) > 1:
            await self.write(lines[: len(lines) // 2])
            await self.write(lines[len(lines) // 2 :])
            return
        self.refused += 1
        logger.error("A point was refused: %s", error)
        letter = Rejected(0, "", str(error), lines[0])
        await self._dead_letters.add("influxdb", [letter], asyncio.get_running_loop().time() + 10)

    def _fall_behind(self) -> None:
        self.behind = True
        self._pending.clear()
        self.pending = 0

    async def _run(self) -> None:
        while True:
            try:
                await self._work()
                self.failure = None
            except WRITE_ERRORS as error:
                self._fall_behind()
                self.failure = str(error) or type(error).__name__
                logger.warning("Points are not written: %s", self.failure)
                await asyncio.sleep(_PAUSE)
            except Exception:  # points come later than they should, but they must come
                self._fall_behind()
                logger.exception("Points could not be written")
                await asyncio.sleep(_PAUSE)

    async def _work(self) -> None:
        due = self._swept_at + _SWEEP - time.monotonic()
        if self.behind:
            await self._catch_up()
        elif due <= 0:
            if not await self._outbox.catch_up(self.write, _ABANDONED):
                self._swept_at = time.monotonic()
        elif self._pending:
            await self._write_pending()
        else:
            self._idle.set()
            self._waiting.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._waiting.wait(), due)

    async def _catch_up(self) -> None:
        if await self._outbox.catch_up(self.write, 0):
            return
        self.behind = False  # from now on points are taken; look for what came just before
        if await self._outbox.catch_up(self.write, 0):
            self.behind = True

    async def _write_pending(self) -> None:
        lines: list[str] = []
        notes = []
        while self._pending and len(lines) < _MAX_LINES:
            batch = self._pending.popleft()
            lines += batch.lines
            notes.append(batch.note)
        self.pending -= len(lines)
        await self.write(lines)
        await self._outbox.done(notes)

    @tenacity.retry(
        retry=tenacity.retry_if_exception(
            lambda error: (
                isinstance(error, WRITE_ERRORS)
                and not (isinstance(error, InfluxError) and error.blames_points)
            )
        ),
        wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=2),
        stop=tenacity.stop_after_attempt(4),
        reraise=True,
    )
    async def send(self, lines: bytes) -> None:
        """Raises InfluxError, or what aiohttp raises, after four tries."""
        try:
            await self._client.write(lines)
        except InfluxError as error:
            if not error.lacks_database or self._target.org:
                raise
            await self._client.create_database()
            await self._client.write(lines)
