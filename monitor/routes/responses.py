"""Answers as JSON; errors in FastAPI's shapes, because its clients expect them."""

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from monitor.errors import (
    Conflict,
    InvalidBody,
    MonitorError,
    NotFound,
    TooLarge,
    Unavailable,
    Unsupported,
)

_RETRY_AFTER = {"Retry-After": "1"}
_STATUS: dict[type[MonitorError], int] = {
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    Unsupported: 415,
    InvalidBody: 422,
    Unavailable: 503,
}


def json_response(
    content: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    return Response(msgspec.json.encode(content), status, headers, "application/json")


def status_of(kind: type[Exception]) -> int:
    """The status that answers an error: its own or that of the nearest error above it, else 400."""
    return next((_STATUS[base] for base in kind.__mro__ if base in _STATUS), 400)


async def on_monitor_error(request: Request, error: Exception) -> Response:
    status = status_of(type(error))
    headers = _RETRY_AFTER if status == 503 else None
    detail = error.details if isinstance(error, InvalidBody) else str(error)
    return json_response({"detail": detail}, status, headers)


async def on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    return json_response({"detail": error.detail}, error.status_code, dict(error.headers or {}))


async def on_disconnect(request: Request, error: Exception) -> Response:
    """The client left while it was sending: there is nobody to answer."""
    return Response(status_code=400)


async def on_error(request: Request, error: Exception) -> Response:
    return json_response({"detail": "Internal Server Error"}, 500)


EXCEPTION_HANDLERS: Any = {
    MonitorError: on_monitor_error,
    HTTPException: on_http_error,
    ClientDisconnect: on_disconnect,
    Exception: on_error,
}
