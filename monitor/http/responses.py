"""Answers as JSON; errors have FastAPI's shapes, because its clients expect them."""

import asyncio
from math import ceil
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from monitor.errors import (
    Conflict,
    Forbidden,
    InvalidBody,
    MonitorError,
    NotFound,
    OverLimit,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from monitor.logs import keep_error

_RETRY_AFTER = {"Retry-After": "1"}
_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_STATUS: dict[type[MonitorError], int] = {
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    Unsupported: 415,
    InvalidBody: 422,
    OverLimit: 429,
    Unavailable: 503,
}


def json_response(
    content: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """An answer of `content` as JSON: structs as objects, datetimes as RFC 3339, UNSET left out."""
    return Response(msgspec.json.encode(content), status, headers, "application/json")


def status_of(kind: type[Exception]) -> int:
    """The HTTP status of an error: that of its class or of the nearest base class, else 400."""
    return next((_STATUS[base] for base in kind.__mro__ if base in _STATUS), 400)


async def on_monitor_error(request: Request, error: Exception) -> Response:
    """The answer to a MonitorError: `{"detail": …}`, a string, or Details for an InvalidBody.

    401 has a challenge, 429 and 503 a Retry-After in seconds. It comes after the error's delay.
    """
    assert isinstance(error, MonitorError)  # noqa: S101 - what it is registered for
    keep_error(request.scope, error)
    status = status_of(type(error))
    headers = {401: _CHALLENGE, 503: _RETRY_AFTER}.get(status)
    if isinstance(error, OverLimit):
        if error.delay:
            # Its frames would keep a large answer, which the caller is refused, meanwhile.
            error.with_traceback(None).__context__ = None
            await asyncio.sleep(error.delay)
        headers = {"Retry-After": str(ceil(max(1.0, error.seconds)))}
        if (call := request.scope.get("call")) and call.ingest:
            status = 503  # the extension takes 429 for success and forgets the events
    detail = error.details if isinstance(error, InvalidBody) else error.public_message()
    return json_response({"detail": detail}, status, headers)


async def on_http_error(request: Request, error: Exception) -> Response:
    """The answer to Starlette's own errors, such as an unknown path."""
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    return json_response({"detail": error.detail}, error.status_code, dict(error.headers or {}))


async def on_error(request: Request, error: Exception) -> Response:
    """The answer to an unexpected error, which reveals nothing about it."""
    keep_error(request.scope, error)
    return json_response({"detail": "Internal Server Error"}, 500)


EXCEPTION_HANDLERS: Any = {
    MonitorError: on_monitor_error,
    HTTPException: on_http_error,
    Exception: on_error,
}
