"""Two ASGI applications side by side: ingest, and everything else."""

import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

from monitor.errors import Forbidden, MonitorError
from monitor.http.cors import Calls, CorsByCall
from monitor.http.headers import SECURITY_HEADERS
from monitor.http.ingest import Ingest
from monitor.http.large_answers import LargeAnswers
from monitor.http.request_counts import Counted, RequestCounts
from monitor.http.request_log import ID, RequestLog
from monitor.http.responses import (
    EXCEPTION_HANDLERS,
    on_monitor_error,
)
from monitor.shares import Share

_Lifespan = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]


def _noting(note: Callable[[Scope, str], None] | None) -> dict[Any, Any]:
    """Answers Forbidden, and logs the refusals that belong in the audit log."""
    if note is None:
        return {}

    async def on_forbidden(request: Request, error: Exception) -> Response:
        note(request.scope, str(error))
        return await on_monitor_error(request, error)

    return {Forbidden: on_forbidden}


def _with_plain_reasons(lifespan: _Lifespan) -> _Lifespan:
    """Says why a server can't start; Starlette would send the server (uvicorn) a traceback."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_reason(message: Message) -> None:
            error = sys.exc_info()[1]  # the one that Starlette handles
            if message["type"] == "lifespan.startup.failed" and isinstance(error, MonitorError):
                message = {**message, "message": str(error)}
            await send(message)

        await lifespan(scope, receive, send_reason)

    return run


def _add_slash(request: Request) -> Response:
    """The page's links are relative to its path with a slash."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{request.url.path.rpartition('/')[2]}/{query}")


class Application:
    """Serves `ingest` routes to pages of all `origins`, including `*`, and `routes` to named ones.

    If there is a `*`, those of `routes` that are `open_calls` are for pages of any origin, too.
    A path may end in a slash, and begin with `root_path`, where a proxy serves this and keeps it.
    `expose` are the headers of answers that pages may read, `unread` is
    what callers hold of large answers; `counts` gets the requests.
    `note_refusal` is called with the scope and the reason of each call that is answered by 403.
    Each answer has the request's id, by which `log` names it.
    """

    def __init__(
        self,
        ingest: Ingest,
        routes: Sequence[BaseRoute],
        *,
        origins: list[str],
        expose: list[str],
        unread: Share,
        log: RequestLog,
        counts: RequestCounts,
        lifespan: Lifespan[Starlette] | None = None,
        note_refusal: Callable[[Scope, str], None] | None = None,
        root_path: str = "",
        open_calls: Calls = frozenset(),
    ) -> None:
        self._root_path = root_path
        self._log = log
        self._ingest = ingest
        self.routes = [*ingest.routes.values(), *routes]
        named = [origin for origin in origins if origin != "*"]
        open_calls = open_calls if "*" in origins else frozenset()
        other = Starlette(
            routes=routes,
            middleware=[
                Middleware(Counted, counts),
                Middleware(CorsByCall, named, [*expose, ID], SECURITY_HEADERS, open_calls),
                Middleware(LargeAnswers, unread),
            ],
            exception_handlers={**EXCEPTION_HANDLERS, **_noting(note_refusal)},
            lifespan=lifespan,
        )
        # A redirect to a path that ends in a slash would lead back here.
        other.router.redirect_slashes = False
        if root_path:
            other.router.routes.append(Route(root_path, _add_slash))
        with_reasons = _with_plain_reasons(other.router.lifespan)
        other.router.lifespan = with_reasons  # type: ignore[method-assign, assignment]
        self._other: ASGIApp = other

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._other(scope, receive, send)
            return
        path = scope["path"]
        if self._root_path and path.startswith(f"{self._root_path}/"):
            scope["path"] = path = path.removeprefix(self._root_path)
        if path[-1:] == "/" and path != "/":
            scope["path"] = path = path.rstrip("/") or "/"
        if path in self._ingest.routes and scope["type"] == "http":
            await self._ingest(scope, receive, send)
        else:
            await self._log.serve(self._other, scope, receive, send)
