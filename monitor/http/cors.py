"""CORS: which web pages may read the answers."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.http.headers import NOT_CACHED, RawHeaders

Calls = frozenset[tuple[str, str]]  # methods and paths


class Cors(CORSMiddleware):
    """Starlette's CORS with header lists that are built once, and `common` on every answer.

    An answer that says itself how it may be cached, as the page's files do, keeps that.

    Built for each answer, they took as long as decoding and queueing its events; a middleware of
    its own for `common` would take another call for each message.
    """

    def __init__(
        self, app: ASGIApp, origins: list[str], expose: list[str], common: RawHeaders
    ) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=expose,
            allow_private_network=True,  # Chrome asks before a public page calls a school's server
            max_age=86_400,
        )
        self._without_origin = common
        self._allowed: RawHeaders = common + [
            (name.lower().encode(), value.encode()) for name, value in self.simple_headers.items()
        ]
        self._refused: RawHeaders = [*common, (b"vary", b"Origin")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "OPTIONS":
            return await super().__call__(scope, receive, send)
        added = self.added(scope["headers"])
        may_be_kept = scope["method"] != "POST"  # events aren't searched for what they never have

        async def send_added(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", ())
                message["headers"] = [*own, *added]
                if may_be_kept and b"cache-control" in [name for name, _ in own]:
                    message["headers"].remove(NOT_CACHED)
            await send(message)

        return await self.app(scope, receive, send_added)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Starlette's, which lets pages of all origins into the private network."""
        response = super().preflight_response(request_headers)
        if not self.is_allowed_origin(request_headers["origin"]):
            del response.headers["access-control-allow-private-network"]
        return response

    def added(self, headers: RawHeaders) -> RawHeaders:
        """What an answer to a request with these headers gets."""
        origin = None
        for name, value in headers:
            if name == b"origin":
                origin = value
                break
        if self.allow_all_origins:
            return self._allowed if origin else self._without_origin
        if origin and self.is_allowed_origin(origin.decode("latin-1")):
            return [*self._allowed, (b"access-control-allow-origin", origin), (b"vary", b"Origin")]
        return self._refused


class CorsByCall:
    """CORS for pages of `origins`, and for pages of any origin where it is one of `open_calls`.

    An answer to any origin is not for calls with cookies: browsers keep it from the page.
    """

    def __init__(
        self,
        app: ASGIApp,
        origins: list[str],
        expose: list[str],
        common: RawHeaders,
        open_calls: Calls,
    ) -> None:
        self._app = app
        self._for_named = Cors(app, origins, expose, common)
        self._for_any = Cors(app, ["*"], expose, common)
        self._open_calls = open_calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_open = (_method(scope), scope["path"]) in self._open_calls
        await (self._for_any if is_open else self._for_named)(scope, receive, send)


def _method(scope: Scope) -> str:
    """The call's method, of a preflight that of the call to come; HEAD is a GET."""
    method: str = scope["method"]
    if method == "OPTIONS":
        for name, value in scope["headers"]:
            if name == b"access-control-request-method":
                method = value.decode("latin-1")
    return "GET" if method == "HEAD" else method
