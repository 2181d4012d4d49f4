"""Gives each request an id, returns it, and logs requests: refused and slow ones, and a sample."""

import logging
import random
import re
from collections.abc import Iterable, Mapping
from itertools import count
from secrets import token_hex
from time import perf_counter
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.auth.call import Call
from monitor.auth.gate import ENDED
from monitor.errors import ClientGone
from monitor.logs import REQUESTS, request_id

ID = "X-Request-ID"
_SAMPLE_PAUSE = 0.1  # seconds
SLOW = 1.0  # seconds, from which on a request is always logged

_NAME = ID.lower().encode()
_WELL_FORMED = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_OURS = f"{token_hex(8)}-".encode()  # of this process
_numbers = count(1)
_REFUSAL = "websocket.http.response"  # the extension of ASGI by which a socket is refused
_ORDINARY = frozenset({404, 409})  # what is asked for in vain is no refusal
_DENIED = frozenset({401, 403, 429})

logger = logging.getLogger(REQUESTS)


def id_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The request's id: the client's, if it is well-formed, else a new one."""
    for name, value in headers:
        if name == _NAME and _WELL_FORMED.fullmatch(value):
            return value
    return b"%s%x" % (_OURS, next(_numbers))


class RequestLog:
    """Serves requests and WebSockets by an application, and logs a `share` (0 to 1) of them.

    A share below 1 is at most ten lines a second: one takes as long as serving a request.

    Refusals are logged always, and what took SLOW seconds. A line names the route and the class,
    and nobody: no query, no name in a path, no address.
    """

    def __init__(self, share: float) -> None:
        self._share = 1.0 if logger.isEnabledFor(logging.DEBUG) else share
        self._pause = _SAMPLE_PAUSE if self._share < 1 else 0.0
        self._next_sample = 0.0

    def begin(self, scope: Scope) -> tuple[float, tuple[bytes, bytes]]:
        """Puts the request's id into the context and the scope.

        Returns what `end` needs, and the header that the answer gets.
        """
        own = scope["request_id"] = id_of(scope["headers"])
        request_id.set(own)
        return perf_counter(), (_NAME, own)

    def end(self, scope: Scope, status: int, began: float) -> None:
        """Logs the request where it should; `status` 0 is a client that left before its answer."""
        now = perf_counter()
        seconds = now - began
        is_slow = seconds >= SLOW and status != 101
        if is_slow or (status >= 400 and _is_refusal(scope, status)):
            self._note(scope, status, seconds, logging.WARNING)
        elif now >= self._next_sample and random.random() < self._share:  # noqa: S311 - no secret
            self._next_sample = now + self._pause
            self._note(scope, status, seconds, logging.INFO)

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Calls `app`, with the request's id in the context, in the scope and on the answer."""
        began, header = self.begin(scope)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if status:
                if status == 101 and message.get("code") == ENDED:
                    status = 401  # it was accepted only so that its page can read the code
                await send(message)
                return
            status = _status_of(message)
            if message["type"] == "websocket.close" and _REFUSAL in scope["extensions"]:
                # uvicorn's own 403 would have no headers.
                start = {"type": f"{_REFUSAL}.start", "status": status, "headers": [header]}
                await send(start)
                message = {"type": f"{_REFUSAL}.body", "body": b""}
            else:
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        try:
            await app(scope, receive, send_with_id)
        except Exception:
            status = status or 500  # uvicorn logs why, and answers
            raise
        finally:
            self.end(scope, status, began)

    def _note(self, scope: Scope, status: int, seconds: float, level: int) -> None:
        level = logging.ERROR if status == 500 else level
        if not logger.isEnabledFor(level):
            return
        fields = _fields(scope, status, seconds)
        asked = f"{scope.get('method', 'WS')} {fields.get('url.path', '(unknown path)')}"
        logger.log(level, "%s: %s", asked, status or "the client left", extra=fields)


def note_refusal(scope: Mapping[str, Any] | None, status: int) -> bytes:
    """Logs that the protocol itself refuses a request, of which it may know nothing; its id."""
    known = scope or {}
    own: bytes = known.get("request_id") or id_of(known.get("headers", ()))
    extra = {**_outcome(status), "http.request.id": own.decode()}
    logger.warning("A request was refused before it was whole: %d", status, extra=extra)
    return own


def _fields(scope: Scope, status: int, seconds: float) -> dict[str, Any]:
    fields = _outcome(status)
    fields["http.request.method"] = scope.get("method", "GET")
    fields["http.version"] = scope["http_version"]
    fields["event.duration"] = int(seconds * 1e9)
    route = scope.get("route")
    if path := getattr(route, "path", None):
        class_id = str(scope.get("path_params", {}).get("class_id", ""))
        if class_id.isdecimal():
            path = path.replace("{class_id}", class_id)
        fields["url.path"] = path
    call: Call | None = scope.get("call")
    if call:
        fields["user.roles"] = [call.principal.role]
    if "error" in scope:
        kind, message = scope["error"]
        fields["error.type"] = kind.__name__
        if message:
            fields["error.message"] = message
    return fields


def _status_of(first: Message) -> int:
    """Of the first message of an answer, or to a socket: 403 where that is not accepted."""
    status: int = first.get("status", 0)
    return status or (101 if first["type"] == "websocket.accept" else 403)


def _is_refusal(scope: Scope, status: int) -> bool:
    has_left = "error" in scope and scope["error"][0] is ClientGone
    return status not in _ORDINARY and not has_left


def _outcome(status: int) -> dict[str, Any]:
    if not status:
        return {"event.kind": "event", "event.category": ["web"], "event.outcome": "unknown"}
    return {
        "event.kind": "event",
        "event.category": ["web"],
        "event.type": ["access", "denied"] if status in _DENIED else ["access"],
        "event.outcome": "failure" if status >= 400 else "success",
        "http.response.status_code": status,
    }
