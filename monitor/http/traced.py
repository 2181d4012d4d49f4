"""A span for each request, within the trace that its header `traceparent` names."""

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.tracing import is_on, span


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
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind, Status, StatusCode

        headers = {
            name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]
        }
        method = scope["method"]
        attributes = {"http.request.method": method, "url.scheme": scope["scheme"]}
        with span(
            method, attributes=attributes, kind=SpanKind.SERVER, context=extract(headers)
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
