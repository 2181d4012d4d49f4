"""Which web pages may call: this server's, those of allowed origins, the extension's of any."""

import logging
from urllib.parse import urlsplit

from starlette.types import Scope

from monitor.errors import Forbidden

logger = logging.getLogger(__name__)

_MAX_LOGGED = 100  # reasons
OWN_PAGE = b"x-cell-monitor"  # the header that only our own pages send
_READS = ("GET", "HEAD")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Origins:
    """Checks the Origin and Host headers of calls that are not ingest.

    `*` in `allowed` opens what the JupyterLab extension calls to pages of any origin, no more, and
    where the server `is_open` only to those of this machine: any website could ask it.

    `loopback_only` protects against DNS rebinding: a server without authentication accepts only
    loopback names as Host. `public_url` is the server's own address behind a proxy, or empty.
    """

    def __init__(
        self,
        allowed: list[str],
        loopback_only: bool,
        public_url: str = "",
        *,
        is_open: bool = False,
    ) -> None:
        own = urlsplit(public_url.lower())
        self._own = f"{own.scheme}://{own.netloc}" if public_url else ""
        origins = [*allowed, self._own]
        self._allowed = frozenset(origin.rstrip("/").lower() for origin in origins if origin != "*")
        self._any_origin = "*" in allowed
        self._loopback_only = loopback_only
        self._is_open = is_open
        self._logged: set[str] = set()

    def check(self, scope: Scope, from_extension: bool = False) -> None:
        """Raises Forbidden, unless the call is one that comes `from_extension` and `*` is allowed.

        Such a call loses its cookies: of a page elsewhere they would be no credential that its user
        meant to give.
        """
        host = origin = ""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value.decode("latin-1").lower()
            elif name == b"origin":
                origin = value.decode("latin-1").lower()
        if self._loopback_only and host and _name(host) not in _LOOPBACK:
            raise self._refusal(
                f"The Host {host!r} is not a name of this machine, such as localhost: without"
                " credentials the server answers to nobody else. Set JWT_SECRET, JWT_JWKS_URL,"
                " OIDC_ISSUER or JUPYTERHUB_API_URL, or ALLOW_UNAUTHENTICATED=yes"
            )
        if not origin or origin in self._allowed or _netloc(origin) == host:
            return
        if not (from_extension and self._is_open_to(origin)):
            raise self._refusal(
                f"The origin {origin!r} is not among BACKEND_CORS_ORIGINS. If it is this server's"
                " own behind a proxy, set PUBLIC_URL, or let the proxy pass the Host on"
            )
        scope["headers"] = [header for header in scope["headers"] if header[0] != b"cookie"]

    def check_own(self, scope: Scope) -> None:
        """Raises Forbidden unless this server's own page makes the call, if that could matter.

        Browsers attach the cookie to requests of any page. So requests that change something need
        the header X-Cell-Monitor, which no form can send, and, like sockets, our own Origin.
        """
        if scope.get("method") in _READS:
            return
        headers = {name: value.decode("latin-1").lower() for name, value in scope["headers"]}
        origin = headers.get(b"origin", "")
        is_own = origin == self._own or _netloc(origin) == headers.get(b"host", "")
        if not (origin and is_own):
            raise Forbidden("A login's cookie counts only for this server's own page")
        if scope["type"] == "http" and not headers.get(OWN_PAGE):
            raise Forbidden("Beside a login's cookie, send the header X-Cell-Monitor: page")

    def _is_open_to(self, origin: str) -> bool:
        """Whether pages of an origin that is not named may make the extension's calls."""
        if not self._any_origin:
            return False
        return not self._is_open or _name(_netloc(origin) or "") in _LOOPBACK

    def _refusal(self, reason: str) -> Forbidden:
        """Logs each reason once: what is refused may come often."""
        if reason not in self._logged and len(self._logged) < _MAX_LOGGED:
            self._logged.add(reason)
            logger.warning("A page was refused. %s", reason)
        return Forbidden(reason)


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
