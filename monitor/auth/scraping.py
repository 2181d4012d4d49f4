"""The way past the gate for a scraper of metrics: a token that opens nothing else."""

from collections.abc import Sequence
from hmac import compare_digest

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.auth import credentials
from monitor.auth.gate import Gate
from monitor.errors import Unauthenticated

PATH = "/metrics"


class Scraping:
    """The gate, with a second way to PATH by the `token`; an empty one lets nobody in."""

    def __init__(self, gate: Gate, token: str) -> None:
        self._gate = gate
        self._token = token

    def guard(self, path: str, *methods: str) -> list[Middleware]:
        """The middleware of a route, as `Gate.guard` has it."""
        layers = self._gate.guard(path, *methods)
        if path != PATH or not self._token:
            return layers
        is_open = self._gate.authenticator.is_open
        return [Middleware(_ByToken, layers, self._token, is_open)]


class _ByToken:
    """Lets in who has the token; all others go through the gate.

    On an open server the gate refuses nobody, so there it is the token or nothing.
    """

    def __init__(
        self, app: ASGIApp, layers: Sequence[Middleware], token: str, is_open: bool
    ) -> None:
        self._app = self._guarded = app
        for layer in reversed(layers):
            self._guarded = layer.cls(self._guarded, *layer.args, **layer.kwargs)
        self._token = token.encode()
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        credential = credentials.find(scope)
        if (
            credential
            and credential.kind == "token"
            and compare_digest(credential.text.encode(), self._token)
        ):
            await self._app(scope, receive, send)
        elif self._is_open:
            raise Unauthenticated("Send `Authorization: Bearer` and the METRICS_TOKEN")
        else:
            await self._guarded(scope, receive, send)
