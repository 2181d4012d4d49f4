"""What every request passes before it reaches its route."""

from collections.abc import Mapping

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.errors import MonitorError
from monitor.http.responses import on_monitor_error

RawHeaders = list[tuple[bytes, bytes]]


_SECURED: RawHeaders = [  # nothing of an answer is for a browser to guess, frame, keep or pass on
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-site"),
    (b"x-frame-options", b"DENY"),
]


class CrossOrigin:
    """Starlette's CORS, with other headers that secure an answer.

    `*` is for the ingest routes; other routes are for named origins only.
    """

    def __init__(
        self, app: ASGIApp, origins: list[str], expose: list[str], ingest: list[str]
    ) -> None:
        self._ingest = frozenset(ingest)
        self._on_ingest = _Cors(app, origins, expose)
        self._elsewhere = _Cors(app, [origin for origin in origins if origin != "*"], expose)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_ingest = scope.get("path", "").rstrip("/") in self._ingest
        await (self._on_ingest if is_ingest else self._elsewhere)(scope, receive, send)


class _Cors(CORSMiddleware):
    """What it adds to an answer is made beforehand.

    Made for each answer anew, it took as long as decoding and queueing the events.
    """

    def __init__(self, app: ASGIApp, origins: list[str], expose: list[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=expose,
            max_age=86_400,
        )
        self._common: RawHeaders = _SECURED + [
            (name.lower().encode(), value.encode()) for name, value in self.simple_headers.items()
        ]
        self._to_others: RawHeaders = [*_SECURED, (b"vary", b"Origin")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "OPTIONS":
            return await super().__call__(scope, receive, send)
        added = self._added(scope["headers"])

        async def send_added(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        return await self.app(scope, receive, send_added)

    def _added(self, headers: RawHeaders) -> RawHeaders:
        origin = next((value for name, value in headers if name == b"origin"), None)
        if self.allow_all_origins:
            return self._common if origin else _SECURED
        if origin and self.is_allowed_origin(origin.decode("latin-1")):
            return [*self._common, (b"access-control-allow-origin", origin), (b"vary", b"Origin")]
        return self._to_others


class WithoutTrailingSlash:
    """Takes `/events/` for `/events`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "/")
        if path != "/" and path.endswith("/"):
            scope = {**scope, "path": path.rstrip("/") or "/"}
        await self._app(scope, receive, send)


class Direct:
    """Takes each `POST` on one of these paths straight to its route.

    On Starlette's way there, through its router and two more layers for errors, it lost a tenth of
    its time.
    """

    def __init__(self, app: ASGIApp, routes: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get(scope["path"]) if scope.get("method") == "POST" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        try:
            await route(scope, receive, send)
        except MonitorError as error:
            response = await on_monitor_error(Request(scope), error)
            await response(scope, receive, send)
