"""What every request passes before it reaches its route."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

RawHeaders = list[tuple[bytes, bytes]]


class CrossOrigin(CORSMiddleware):
    """Starlette's CORS; but what it adds to an answer is made beforehand.

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
        self._common: RawHeaders = [
            (name.lower().encode(), value.encode()) for name, value in self.simple_headers.items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "OPTIONS":
            return await super().__call__(scope, receive, send)
        added = self._added(scope["headers"])

        async def send_added(message: Message) -> None:
            if added and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        return await self.app(scope, receive, send_added)

    def _added(self, headers: RawHeaders) -> RawHeaders:
        origin = next((value for name, value in headers if name == b"origin"), None)
        if self.allow_all_origins:
            return self._common if origin else []
        if origin and self.is_allowed_origin(origin.decode("latin-1")):
            return [*self._common, (b"access-control-allow-origin", origin), (b"vary", b"Origin")]
        return [(b"vary", b"Origin")]


class WithoutTrailingSlash:
    """Takes `/events/` for `/events`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "/")
        if path != "/" and path.endswith("/"):
            scope = {**scope, "path": path.rstrip("/") or "/"}
        await self._app(scope, receive, send)
