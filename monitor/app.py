"""Creates the application: its routes, and the gate before them."""

from collections.abc import Mapping
from typing import Any

from monitor.auth.scraping import Scraping
from monitor.components import Components
from monitor.database.embedded.server import EmbeddedPostgres
from monitor.http import openapi
from monitor.http.answers import TOTAL
from monitor.http.application import Application
from monitor.http.body import BodyReader
from monitor.http.event_bodies import EventBodies
from monitor.http.ingest import Ingest
from monitor.http.large_answers import unread_answers
from monitor.http.operations import Api
from monitor.http.public_url import Address
from monitor.http.request_log import RequestLog
from monitor.right_of_way import RightOfWay
from monitor.routes import (
    assignments,
    attempts,
    audit,
    classes,
    corrections,
    demo,
    docs,
    duties,
    e2e_events,
    enrolment,
    events,
    grades,
    health,
    help_queue,
    ingest_keys,
    insight,
    invites,
    join_page,
    joining,
    legacy,
    live,
    login,
    me,
    metrics,
    notebook_copies,
    notebooks,
    notices,
    notifications,
    page,
    rejected,
    rooms,
    student_tokens,
    students,
    submissions,
    token_revocations,
    withdrawals,
)
from monitor.settings import Settings


def create_app(
    settings: Settings, postgres: Mapping[str, Any], embedded: EmbeddedPostgres | None = None
) -> Application:
    """The ASGI application. `postgres` are asyncpg's connection arguments.

    It keeps the `embedded` PostgreSQL running, which the caller has started and will stop.
    Raises HandlersError when a module of HANDLERS can't be used.
    """
    components = Components(settings, postgres, embedded)
    prefix, gate = settings.api_v1_str, components.gate
    bodies = BodyReader(settings.max_request_bytes, settings.queue_max_bytes)
    event_bodies = EventBodies(
        settings.max_request_bytes,
        settings.queue_max_bytes,
        settings.backend_cors_origins,
        settings.public_url,
    )
    unread = unread_answers()
    right_of_way = RightOfWay()
    components.shares.add(bodies.held, bodies.gunzips, unread)
    components.shares.add(event_bodies.held, event_bodies.gunzips, event_bodies.large)
    components.shares.add(event_bodies.decodings)
    intake = events.Intake(
        queue=components.queue,
        bodies=event_bodies,
        max_events=settings.max_request_events,
        admit=gate.admit,
        refund=gate.refund,
        durations=components.requests.posts,
        right_of_way=right_of_way,
    )
    address = Address(settings.public_url, settings.path_below)
    api = Api(
        prefix,
        bodies,
        components.workers,
        components.database,
        components.reads,
        right_of_way=right_of_way,
        address=address,
    )
    components.shares.add(api.turns, bodies.waiting)
    api.operations.append(events.operation(prefix, intake))
    api.operations.extend(health.operations(prefix, components.health))
    api.operations.append(metrics.operation(components.scrape))
    api.operations.extend(legacy.operations(prefix, intake))
    is_open, logins = gate.authenticator.is_open, gate.authenticator.logins
    login_kind = logins.provider.kind if logins else ""
    classes.declare(api, components.keyring.reload)
    enrolment.declare(api, components.hub.publish, is_open=is_open)
    grades.declare(api, is_open=is_open)
    for routes in (students, notebooks, assignments):
        routes.declare(api)
    insight.declare(api, components.kept, is_open=is_open)
    notebook_copies.declare(api, is_open=is_open)
    attempts.declare(api, components.workers, components.kept, is_open=is_open)
    me.declare(api)
    submissions.declare(api, components.hub.publish, components.workers)
    notices.declare(api, components.hub.publish)
    help_queue.declare(api, components.hub.publish, is_open=is_open)
    duties.declare(api, components.hub.publish)
    rooms.declare(api, components.hub.publish)
    ingest_keys.declare(api, components.keyring.reload)
    student_tokens.declare(api, components.keyring.reload)
    token_revocations.declare(api, components.revocations.refresh)
    joining.declare(api, is_open)
    for correcting in (withdrawals, corrections):
        correcting.declare(api, components.withdrawing.wake)
    invites.declare(api, components.keyring.reload)
    demo.declare(api, components.keyring.reload)
    notifications.declare(api, components.notifying)
    audit.declare(api)
    live.declare(api, components.hub)
    rejected.declare(api, components.replay)
    if settings.keeps_test_events:
        e2e_events.declare(api)
    openapi.declare(api, settings.project_name, settings.project_version, is_open)
    log, counts = RequestLog(settings.log_requests), components.requests
    return Application(
        Ingest(
            api.ingest_routes(),
            gate,
            origins=settings.backend_cors_origins,
            counts=counts,
            log=log,
        ),
        [
            *api.routes(Scraping(gate, settings.metrics_token).guard),
            *docs.routes(prefix, gate.guard),
            *page.routes(prefix, gate.guard, login_kind),
            *login.routes(gate, address),
            *join_page.routes(prefix, gate.guard, components.database, address, login_kind),
            *live.routes(components.hub, gate, components.database),
        ],
        origins=settings.backend_cors_origins,
        expose=[TOTAL],
        unread=unread,
        root_path=settings.path_below,
        counts=counts,
        lifespan=components.lifespan,
        note_refusal=components.refusal_log.note,
        open_calls=api.calls_from_extension(),
        log=log,
    )
