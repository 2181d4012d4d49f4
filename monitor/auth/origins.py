"""Which web pages may call: those of the server itself, and those that the settings name."""

from urllib.parse import urlsplit

from starlette.types import Scope

from monitor.errors import Forbidden

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Origins:
    """`*` among the settings' origins is for ingest only, and not asked about here.

    A server that is open to this machine alone is called by a name of this machine; any other name
    is a page's, of whoever has pointed that name here.
    """

    def __init__(self, allowed: list[str], loopback_only: bool) -> None:
        self._allowed = frozenset(origin.rstrip("/") for origin in allowed if origin != "*")
        self._loopback_only = loopback_only

    def check(self, scope: Scope) -> None:
        """Raises Forbidden."""
        host = origin = ""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value.decode("latin-1").lower()
            elif name == b"origin":
                origin = value.decode("latin-1").lower()
        if self._loopback_only and host and _name(host) not in _LOOPBACK:
            raise Forbidden(f"{host!r} is no name of this machine")
        if origin and origin not in self._allowed and _netloc(origin) != host:
            raise Forbidden(f"The origin {origin!r} is not among BACKEND_CORS_ORIGINS")


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
