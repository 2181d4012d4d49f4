"""A span for each request, within the trace that its header `traceparent` names."""

from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.tracing import is_on, span

if TYPE_CHECKING:
    from opentelemetry.context import Context

_LONGEST = 256  # bytes of a `traceparent`: this version has 55, a later one may have more


def with_traces(app: ASGIApp) -> ASGIApp:
    """The application with a span for each request; itself while tracing is off."""
    return Traced(app) if is_on() else app


class Traced:
    """Middleware: a span names the route and the status, and nobody."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["extensions"] = {}  # or the answer would not come by `send`
        from opentelemetry.trace import SpanKind, Status, StatusCode

        method = scope["method"]
        attributes = {"http.request.method": method, "url.scheme": scope["scheme"]}
        with span(
            method, attributes=attributes, kind=SpanKind.SERVER, context=_context(scope)
        ) as current:

            async def send_noting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status: int = message["status"]
                    current.set_attribute("http.response.status_code", status)
                    if status >= 500:
                        current.set_status(Status(StatusCode.ERROR))
                await send(message)

            try:
                await self._app(scope, receive, send_noting)
            finally:
                current.set_attributes(_known_afterwards(scope))
                if route := _route(scope):
                    current.update_name(f"{method} {route}")


def _context(scope: Scope) -> "Context":
    """Has the client's span, if it names one, and not that of another request.

    Nothing else is read of what clients may send for traces: the library writes what it does not
    accept of it into the log, whoever sent it, and the server hands it on to nobody.
    """
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    texts = [text for name, text in scope["headers"] if name == b"traceparent"]
    if len(texts) != 1 or len(texts[0]) > _LONGEST:
        return Context()
    return TraceContextTextMapPropagator().extract({"traceparent": texts[0].decode("latin-1")})


def _route(scope: Scope) -> str:
    path: str = getattr(scope.get("route"), "path", "")
    return path


def _known_afterwards(scope: Scope) -> dict[str, Any]:
    known: dict[str, Any] = {"cell_monitor.request_id": scope["request_id"].decode()}
    if route := _route(scope):
        known["http.route"] = route
    if "error" in scope:
        known["error.type"] = scope["error"][0].__name__
    return known
