"""One caller who costs the server as much as they can."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import aiohttp
from websockets.exceptions import WebSocketException

from tests.noisy.school import ELSEWHERE, ROUTER, Target
from tests.support.tokens import bearer

JSON = {"Content-Type": "application/json"}


class Attacker:
    """The caller, with a session at the school's address and one at an address of their own."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.outcomes: Counter[str] = Counter()
        self.api = f"http://127.0.0.1:{target.port}/api/v1"

    async def __aenter__(self) -> Self:
        self._inside, self._outside = _session(ROUTER), _session(ELSEWHERE)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._inside.close()
        await self._outside.close()

    async def repeat(self, once: Callable[[], Awaitable[object]], at_once: int = 1) -> None:
        """Does it again and again, `at_once` at the same time, until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(self._again(once))

    async def _again(self, once: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await once()
            except (aiohttp.ClientError, OSError, EOFError, WebSocketException) as error:
                self.outcomes[type(error).__name__] += 1
                await asyncio.sleep(0.05)

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, bytes]:
        """A call as the student, signed in; its status and body."""
        headers = bearer(self.target.bearer) | options.pop("headers", {})
        url = self.api + path
        async with self._inside.request(method, url, headers=headers, **options) as answer:
            body = await answer.read()
        self.outcomes[str(answer.status)] += 1
        return answer.status, body

    async def post(self, body: bytes, *, key: str = "", **headers: str) -> int:
        """Posts events with the student's own token, or with a key that others share."""
        http = self._outside if key else self._inside
        params = {"key": key or self.target.own_token}
        url = f"{self.api}/events"
        async with http.post(url, data=body, params=params, headers=JSON | headers) as answer:
            await answer.read()
        self.outcomes[str(answer.status)] += 1
        return answer.status

    async def connect(self, address: str = ROUTER) -> "Connection":
        """A connection that does what no HTTP client does."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.target.port, local_addr=(address, 0)
        )
        self.outcomes["connected"] += 1
        return Connection(reader, writer)

    def head(self, method: str, path: str, *fields: str) -> bytes:
        """A request's head as the student, signed in."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields]
        lines.append(f"Authorization: Bearer {self.target.bearer}")
        return "\r\n".join([*lines, "", ""]).encode()


class Connection:
    """Closed at the end of the block, whatever is still to be sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.writer.transport.abort()


def _session(address: str) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(local_addr=(address, 0), limit=0)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(60))
