"""The composition root: the one place that opens and closes things."""

import gc
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.database import Database, close_pool, open_pool
from monitor.errors import Unavailable
from monitor.pipeline import health
from monitor.pipeline.batch import EventQueue
from monitor.pipeline.broker import RedisBroker
from monitor.pipeline.consumer import Consumers, Limits
from monitor.pipeline.custom import HandlerRunner, load_handlers
from monitor.pipeline.hub import Hub
from monitor.pipeline.influx import InfluxSink, Target
from monitor.pipeline.lines import line
from monitor.pipeline.messages import execution_updates
from monitor.pipeline.postgres import PostgresSink, Stored
from monitor.pipeline.progress import Progress
from monitor.pipeline.references import References
from monitor.reads import Reads
from monitor.routes import (
    assignments,
    classes,
    docs,
    enrolment,
    insight,
    notebooks,
    notices,
    openapi,
    students,
    submissions,
    test_events,
)
from monitor.routes import events as event_routes
from monitor.routes import health as health_routes
from monitor.routes import live as live_routes
from monitor.routes import older as older_routes
from monitor.routes.operations import TOTAL, Api
from monitor.routes.responses import EXCEPTION_HANDLERS
from monitor.settings import Settings

logger = logging.getLogger(__name__)

_API_CONNECTIONS = 8  # to PostgreSQL, beside the pipeline's


def create_app(settings: Settings, postgres: Mapping[str, Any]) -> Starlette:
    """The application. `postgres` are asyncpg's arguments to connect with.

    Raises HandlersError when a module of HANDLERS can't be used.
    """
    server = Server(settings, postgres)
    prefix = settings.api_v1_str
    limits = event_routes.RequestLimits(settings.max_request_events, settings.max_request_bytes)
    api = Api(prefix, limits.bytes)
    api.operations.append(event_routes.operation(prefix, server.queue, limits))
    api.operations.extend(health_routes.operations(prefix, server.health))
    api.operations.extend(older_routes.operations(prefix, server.queue, limits))
    for routes in (classes, enrolment, students, notebooks, assignments):
        routes.declare(api, server.database)
    insight.declare(api, server.reads)
    for telling in (submissions, notices):
        telling.declare(api, server.database, server.hub.publish)
    if settings.test_events == "on":
        test_events.declare(api, server.database)
    openapi.declare(api, settings.project_name, settings.project_version)
    return Starlette(
        routes=[*api.routes(), *docs.routes(prefix), *live_routes.routes(server.hub)],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=settings.backend_cors_origins,
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=[TOTAL],
                max_age=86_400,
            ),
            Middleware(WithoutTrailingSlash),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=server.lifespan,
    )


class Server:
    """All parts of a running server."""

    def __init__(self, settings: Settings, postgres: Mapping[str, Any]) -> None:
        self._settings = settings
        self._postgres = postgres
        self._handlers = load_handlers(settings.handlers)
        self._parts: health.Parts | None = None
        self.queue = EventQueue(settings.queue_max_events, settings.queue_max_bytes)
        self.hub = Hub(settings.socket_max_pending)
        self.database = Database(postgres, _API_CONNECTIONS, settings.store_timeout)
        self.progress = Progress(self.database, self._busy)
        self.reads = Reads(self.database, self._standby(), self.progress.catch_up)

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Opens the parts in the order in which events pass them, and closes them likewise."""
        settings = self._settings
        pool = await open_pool(self._postgres, settings.consumers + 4, settings.store_timeout)
        await self.database.open()
        await self.reads.open()
        influx, broker = self._influx(), self._broker()
        sink = PostgresSink(pool, References(settings.known_names))
        runner = HandlerRunner(self._handlers, pool, sink, settings.queue_max_events)

        def publish(stored: Stored) -> None:
            self.hub.publish(execution_updates(stored, self.hub.hears))
            runner.put(stored.events)
            if influx:
                influx.put(line(event) for event in stored.events)

        limits = Limits(settings.batch_max_events, settings.batch_linger, settings.store_timeout)
        consumers = Consumers(self.queue, sink, publish, limits)
        self._parts = health.Parts(
            settings.project_name,
            settings.project_version,
            pool,
            self.queue,
            consumers,
            self.hub,
            influx,
            broker,
            self.reads,
        )

        for part in (influx, broker, runner, self.progress):
            if part:
                part.start()
        consumers.start(settings.consumers)
        # Batches are many objects without cycles: look for those that have some less often, and
        # never among what start-up made.
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        logger.info("Started")
        try:
            yield
        finally:
            logger.info("Stopping")
            deadline = time.monotonic() + settings.stop_timeout

            def remaining() -> float:
                return max(0.5, deadline - time.monotonic())

            await self.queue.close(remaining())
            await consumers.stop()
            await runner.stop(remaining())
            await self.progress.stop()
            if broker:
                await broker.stop()
            if influx:
                await influx.stop(remaining())
            await self.reads.close(remaining())
            await self.database.close(remaining())
            await close_pool(pool, remaining())
            logger.info("Stopped")

    async def health(self) -> health.Health:
        if self._parts is None:
            raise Unavailable("The server is starting")
        return await health.check(self._parts)

    def _busy(self) -> bool:
        return self.queue.events >= self._settings.batch_max_events

    def _standby(self) -> Database | None:
        server = self._settings.postgres_read_server
        if not server:
            return None
        address = {**self._postgres, "host": server}
        return Database(address, _API_CONNECTIONS, self._settings.store_timeout)

    def _influx(self) -> InfluxSink | None:
        settings = self._settings
        if not settings.influxdb_url:
            return None
        target = Target(
            settings.influxdb_url,
            settings.influxdb_bucket,
            settings.influxdb_token,
            settings.influxdb_org,
        )
        return InfluxSink(target, settings.influxdb_max_pending)

    def _broker(self) -> RedisBroker | None:
        settings = self._settings
        if not settings.redis_host:
            return None
        broker = RedisBroker(
            settings.redis_host, settings.redis_port, self.hub.deliver, settings.socket_max_pending
        )
        self.hub.relay = broker.relay
        return broker


class WithoutTrailingSlash:
    """Takes `/events/` for `/events`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "/")
        if path != "/" and path.endswith("/"):
            scope = {**scope, "path": path.rstrip("/") or "/"}
        await self._app(scope, receive, send)
