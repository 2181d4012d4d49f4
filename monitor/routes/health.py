"""`/health`: the state of the server and of its components."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from monitor.auth.call import Call
from monitor.errors import OverLimit, Unauthenticated
from monitor.health import Health, Whole
from monitor.http.answers import Answer, errors
from monitor.http.body import JSON
from monitor.http.declarations import Endpoint, Operation
from monitor.http.responses import json_response


class Status(msgspec.Struct):
    """The whole server's state."""

    status: Whole


class _Shared:
    """One check at a time, for all who ask meanwhile: a flood of probes costs little."""

    def __init__(self, check: Callable[[], Awaitable[Health]]) -> None:
        self._check = check
        self._running: asyncio.Future[Health] | None = None

    async def __call__(self) -> Health:
        if self._running is None or self._running.done():
            self._running = asyncio.ensure_future(self._check())
        return await asyncio.shield(self._running)


def operations(prefix: str, check: Callable[[], Awaitable[Health]]) -> Iterator[Operation]:
    """The probes, at the root and below the API's prefix."""

    shared = _Shared(check)

    async def health(request: Request) -> Response:
        """Every component's state, for an administrator; for others the whole's."""
        state = await check()
        call: Call = request.scope["call"]
        shown = state if call.principal.role == "admin" else Status(state.status)
        return json_response(shown, 503 if state.status == "down" else 200)

    async def live(request: Request) -> Response:
        """Whether the process runs."""
        return json_response(Status("ok"))

    async def ready(request: Request) -> Response:
        """Whether events can be accepted."""
        state = await shared()
        return json_response(Status(state.status), 503 if state.status == "down" else 200)

    for base in dict.fromkeys(("", prefix)):
        yield _operation(f"{base}/health", health, (Health, Status))
        yield _operation(f"{base}/health/live", live, Status)
        yield _operation(f"{base}/health/ready", ready, Status)


def _operation(path: str, endpoint: Endpoint, kind: Any) -> Operation:
    name = "get" + path.replace("/", "_")
    answers = {
        200: Answer("Ready", {JSON: kind}),
        **errors(Unauthenticated, OverLimit),
        503: Answer("Not ready", {JSON: kind}),
    }
    return Operation(
        method="GET",
        path=path,
        name=name,
        summary=endpoint.__doc__ or "",
        tag="health",
        endpoint=endpoint,
        answers=answers,
    )
