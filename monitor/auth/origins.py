"""Which web pages may call: those of this server, and those of the allowed origins."""

from urllib.parse import urlsplit

from starlette.types import Scope

from monitor.errors import Forbidden

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Origins:
    """Checks the Origin and Host headers of calls that are not ingest; `*` is for ingest only.

    `loopback_only` protects against DNS rebinding: a server without authentication accepts only
    loopback names as Host.
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
            raise Forbidden(f"The Host {host!r} is not a name of this machine, such as localhost")
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
