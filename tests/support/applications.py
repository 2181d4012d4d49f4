"""Applications of a few routes, without a server's components."""

from collections.abc import Mapping, Sequence

from starlette.routing import BaseRoute
from starlette.types import Scope

from monitor.auth.permissions import Permission
from monitor.http.application import Application
from monitor.http.ingest import Ingest, IngestRoute, Take
from monitor.http.large_answers import unread_answers
from monitor.http.request_counts import RequestCounts
from monitor.http.request_log import RequestLog

_NOTHING: Mapping[str, Take] = {}


class OpenToAll:
    """Lets everybody in."""

    async def enter(self, scope: Scope, permission: Permission) -> None:
        """Refuses nothing."""


def application(
    routes: Sequence[BaseRoute],
    ingest: Mapping[str, Take] = _NOTHING,
    *,
    origins: Sequence[str] = (),
    expose: Sequence[str] = (),
) -> Application:
    """Serves `routes` and, each by its path, what takes events."""
    log, counts = RequestLog(0.0), RequestCounts("")
    takes = [IngestRoute(path, Permission(), take) for path, take in ingest.items()]
    return Application(
        Ingest(takes, OpenToAll(), origins=list(origins), counts=counts, log=log),
        routes,
        origins=list(origins),
        expose=list(expose),
        unread=unread_answers(),
        log=log,
        counts=counts,
    )
