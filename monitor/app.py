"""The application: its routes, and what requests pass before them."""

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware

from monitor.auth.gate import guarded
from monitor.components import Components
from monitor.http import openapi
from monitor.http.body import BodyReader
from monitor.http.middleware import CrossOrigin, Direct, WithoutTrailingSlash
from monitor.http.operations import TOTAL, Api
from monitor.http.responses import EXCEPTION_HANDLERS
from monitor.routes import (
    assignments,
    audit,
    classes,
    docs,
    enrolment,
    help_queue,
    ingest_keys,
    insight,
    notebooks,
    notices,
    page,
    rejected,
    students,
    submissions,
)
from monitor.routes import e2e_events as test_events
from monitor.routes import events as event_routes
from monitor.routes import health as health_routes
from monitor.routes import legacy as older_routes
from monitor.routes import live as live_routes
from monitor.settings import Settings


def create_app(settings: Settings, postgres: Mapping[str, Any]) -> Starlette:
    """The application. `postgres` are asyncpg's arguments to connect with.

    Raises HandlersError when a module of HANDLERS can't be used.
    """
    server = Components(settings, postgres)
    prefix = settings.api_v1_str
    bodies = BodyReader(settings.max_request_bytes, settings.queue_max_bytes)
    gate = server.gate
    intake = (prefix, server.queue, bodies, settings.max_request_events, gate.admit)
    api = Api(prefix, bodies, gate.permit)
    api.operations.append(event_routes.operation(*intake))
    api.operations.extend(health_routes.operations(prefix, server.health))
    api.operations.extend(older_routes.operations(*intake))
    for routes in (classes, enrolment, students, notebooks, assignments):
        routes.declare(api, server.database)
    insight.declare(api, server.reads)
    for telling in (submissions, notices):
        telling.declare(api, server.database, server.hub.publish)
    help_queue.declare(api, server.database, server.reads, server.hub.publish)
    ingest_keys.declare(api, server.database, server.keyring.look)
    audit.declare(api, server.database)
    live_routes.declare(api, server.hub)
    rejected.declare(api, server.database, server.replay)
    if settings.keeps_test_events:
        test_events.declare(api, server.database)
    is_open = gate.authenticator.is_open
    openapi.declare(api, settings.project_name, settings.project_version, is_open)
    sockets = live_routes.routes(server.hub, gate)
    unguarded = [*api.routes(), *docs.routes(prefix), *page.routes(prefix), *sockets]
    listed = guarded(gate, prefix, unguarded)
    ingest = [each.path for each in api.operations if each.tag == "events"]
    direct = {each.path: each.app for each in listed if each.path in ingest}
    return Starlette(
        routes=listed,
        middleware=[
            Middleware(CrossOrigin, settings.backend_cors_origins, [TOTAL], ingest),
            Middleware(Direct, direct),
            Middleware(WithoutTrailingSlash),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=server.lifespan,
    )
