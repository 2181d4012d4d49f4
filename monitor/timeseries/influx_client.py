"""The client of InfluxDB 1.x and 2.x: where it is, its requests and its errors."""

import re
import warnings
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp

from monitor.database.errors import DATABASE_ERRORS
from monitor.errors import Unavailable
from monitor.timeseries.delete_requests import body, statement
from monitor.timeseries.line_protocol import PointKey

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns that pandas is missing, which is not needed
    import aioinflux

_MAX_STATEMENTS = 100  # in one request
_REQUEST_TIMEOUT = 10.0  # seconds


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


_TOO_OLD = re.compile(r"points beyond retention policy dropped=(\d+)")


class InfluxError(Exception):
    """InfluxDB's answer to a write that it did not take.

    `too_old` are so many points that are older than what it keeps: it has taken the others.
    """

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"InfluxDB answered {status}: {body.strip()[:1000]}")
        self.is_points_fault = status in (400, 413, 422)
        self.lacks_database = status == 404
        dropped = _TOO_OLD.search(body)
        self.too_old = int(dropped[1]) if dropped else 0


class Client(aioinflux.InfluxDBClient):  # type: ignore[misc]
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
        """Writes lines as they are. Raises InfluxError or aiohttp.ClientError."""
        if not self._session:
            await self.create_session()
        url = self.url.format(endpoint=self._endpoint)
        async with self._session.post(url, params=self._params, data=lines) as response:
            if response.status != 204:
                raise InfluxError(response.status, await response.text())

    async def delete(self, points: Sequence[PointKey]) -> None:
        """Deletes points; one that is not there is no error.

        Raises InfluxError, aioinflux.InfluxDBError or aiohttp.ClientError.
        """
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
