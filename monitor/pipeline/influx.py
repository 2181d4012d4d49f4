"""The time series: a sink that sends points to InfluxDB 1.x or 2.x, a batch at a time."""

import asyncio
import logging
import warnings
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
import tenacity

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns that it does without pandas
    import aioinflux

logger = logging.getLogger(__name__)

_MAX_LINES = 5000
_TIMEOUT = 10.0  # seconds for one request
_PAUSE = 5.0  # seconds between tries while InfluxDB is away


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
        self.blames_points = status in (400, 422)
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


_PASSING = (InfluxError, aioinflux.InfluxDBError, aiohttp.ClientError, OSError, TimeoutError)


class InfluxSink:
    """Sends points in the background, so that nobody waits for InfluxDB.

    Up to `max_pending` points wait while it is away; beyond that the oldest are dropped.
    """

    def __init__(self, target: Target, max_pending: int) -> None:
        self._target = target
        self._max_pending = max_pending
        self._pending: deque[str] = deque()
        self._waiting = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.failure: str | None = None
        self.written = self.refused = self.dropped = 0

    @property
    def pending(self) -> int:
        return len(self._pending)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self, patience: float) -> None:
        """Ends the task once all points are written, or after `patience` seconds."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(patience):
                await self._idle.wait()
        except TimeoutError:
            logger.warning("Stopped with %d points not written to InfluxDB", self.pending)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def put(self, lines: Iterable[str]) -> None:
        self._pending.extend(lines)
        while len(self._pending) > self._max_pending:
            self._pending.popleft()
            self.dropped += 1
        self._idle.clear()
        self._waiting.set()

    async def _run(self) -> None:
        async with _Client(self._target) as client:
            while True:
                if not self._pending:
                    self._idle.set()
                    self._waiting.clear()
                    await self._waiting.wait()
                await self._send(client)

    async def _send(self, client: _Client) -> None:
        lines = [self._pending.popleft() for _ in range(min(len(self._pending), _MAX_LINES))]
        try:
            await self._write(client, "\n".join(lines).encode())
            self.written += len(lines)
            self.failure = None
        except InfluxError as error:
            if error.blames_points:  # it has stored the good ones
                self.refused += 1
                logger.error("Points refused: %s", error)
            else:
                await self._wait(lines, error)
        except _PASSING as error:
            await self._wait(lines, error)

    async def _wait(self, lines: list[str], error: Exception) -> None:
        self._pending.extendleft(reversed(lines))
        self.failure = str(error) or type(error).__name__
        logger.warning("InfluxDB is away, %d points wait: %s", self.pending, self.failure)
        await asyncio.sleep(_PAUSE)

    @tenacity.retry(
        retry=tenacity.retry_if_exception(
            lambda error: (
                isinstance(error, _PASSING)
                and not (isinstance(error, InfluxError) and error.blames_points)
            )
        ),
        wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=2),
        stop=tenacity.stop_after_attempt(4),
        reraise=True,
    )
    async def _write(self, client: _Client, lines: bytes) -> None:
        try:
            await client.write(lines)
        except InfluxError as error:
            if not error.lacks_database or self._target.org:
                raise
            await client.create_database()
            await client.write(lines)
