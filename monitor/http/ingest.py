"""The ASGI application for ingest: from a request to its answer in one function."""

from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, Protocol

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from monitor.auth.permissions import Permission
from monitor.errors import MonitorError
from monitor.http.cors import Cors
from monitor.http.headers import SECURITY_HEADERS
from monitor.http.request_counts import RequestCounts
from monitor.http.request_log import ID, RequestLog
from monitor.http.responses import json_response, on_error, on_monitor_error
from monitor.http.whole_answers import whole_answer

Take = Callable[[Scope, Receive], Awaitable[tuple[int, bytes]]]

_TYPE = (b"content-type", b"application/json")


class IngestRoute(NamedTuple):
    """A `POST` on this path is for `take`, which returns the status and the JSON of the answer."""

    path: str
    permission: Permission
    take: Take
    methods: frozenset[str] = frozenset({"POST"})


class Entrance(Protocol):
    """What decides who may post: the gate."""

    async def enter(self, scope: Scope, permission: Permission) -> None: ...


class Ingest:
    """Takes events from pages of all `origins`, including `*`.

    A request took a fifth longer through Starlette's router, its layers for errors and CORS, and a
    Request and a Response.
    """

    def __init__(
        self,
        routes: Iterable[IngestRoute],
        entrance: Entrance,
        *,
        origins: list[str],
        counts: RequestCounts,
        log: RequestLog,
    ) -> None:
        self.routes = {route.path: route for route in routes}
        self._enter = entrance.enter
        self._refused = counts.refused
        self._log = log
        self._cors = Cors(_refuse_method, origins, [ID], SECURITY_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = scope["route"] = self.routes[scope["path"]]
        if scope["method"] != "POST":
            await self._log.serve(self._cors, scope, receive, send)
            return
        began, own = self._log.begin(scope)
        added = self._cors.added(scope["headers"])
        status = 0
        try:
            await self._enter(scope, route.permission)
            status, body = await route.take(scope, receive)
        except MonitorError as error:
            self._refused[type(error)] += 1
            response = await on_monitor_error(Request(scope), error)
            status = response.status_code
            response.raw_headers += (*added, own)
            await response(scope, receive, send)
        except Exception as error:
            self._refused[Exception] += 1
            response = await on_error(Request(scope), error)
            status = response.status_code
            response.raw_headers += (*added, own)
            await response(scope, receive, send)
            raise  # uvicorn logs it
        else:
            whole = whole_answer(scope)
            if whole is None or not whole.send(status, (_TYPE, *added), own, body):
                headers = [_TYPE, (b"content-length", b"%d" % len(body)), *added, own]
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": body})
        finally:
            self._log.end(scope, status, began)


async def _refuse_method(scope: Scope, receive: Receive, send: Send) -> None:
    refusal = json_response({"detail": "Method Not Allowed"}, 405, {"Allow": "POST"})
    await refusal(scope, receive, send)
