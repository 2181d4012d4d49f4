"""A running server: the one place that opens and closes things."""

import gc
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import asyncpg
from starlette.applications import Starlette

from monitor import health
from monitor.auth.authentication import Authenticator
from monitor.auth.gate import Gate
from monitor.auth.jupyterhub import JupyterHubClient
from monitor.auth.keyring import Keyring
from monitor.auth.limits import Limiter, Rates
from monitor.auth.origins import Origins
from monitor.auth.tokens import Tokens, Trust
from monitor.database.dead_letters import DeadLetter, DeadLetters
from monitor.database.migrations import Schema, SchemaError
from monitor.database.pool import Database, close_pool, open_pool, open_single_use_pool
from monitor.database.reads import Reads
from monitor.errors import Unavailable
from monitor.jobs.clustering import Clustering
from monitor.jobs.counting import Counting
from monitor.jobs.housekeeping import Housekeeping
from monitor.live.broker import RedisBroker
from monitor.live.history import History
from monitor.live.hub import Hub
from monitor.live.subscriber import SocketLimits
from monitor.pipeline.consumer import Consumers, Limits
from monitor.pipeline.handler_runner import HandlerRunner
from monitor.pipeline.handlers import load_handlers
from monitor.pipeline.id_cache import IdCache
from monitor.pipeline.ledger import Ledger
from monitor.pipeline.postgres import PostgresSink
from monitor.pipeline.publisher import Publisher
from monitor.pipeline.queue import EventQueue
from monitor.pipeline.replay import Replay
from monitor.pipeline.spool.drain import SpoolDrain
from monitor.pipeline.spool.entries import Spool
from monitor.pipeline.store import Store
from monitor.settings import Settings
from monitor.timeseries.influx import InfluxSink, Target
from monitor.timeseries.outbox import PointsOutbox

logger = logging.getLogger(__name__)


_API_CONNECTIONS = 8  # to PostgreSQL, beside the pipeline's
_HANDLER_CONNECTIONS = 4  # of custom handlers: one runs, others may be replayed


class Components:
    """All parts of a running server."""

    def __init__(self, settings: Settings, postgres: Mapping[str, Any]) -> None:
        self._settings = settings
        self._postgres = postgres
        self._handlers = load_handlers(settings.handlers)
        self._parts: health.Parts | None = None
        self._replay: Replay | None = None
        self.queue = EventQueue(settings.queue_max_events, settings.queue_max_bytes)
        self.hub = Hub(
            History(settings.history_max_messages, settings.history_max_bytes),
            SocketLimits(settings.socket_max_pending, settings.socket_max_bytes),
        )
        self.database = Database(postgres, _API_CONNECTIONS, settings.store_timeout)
        keys = settings.data_dir / "ingest-keys.json"
        self.keyring = Keyring(self.database, keys, settings.daily_events)
        self.gate = Gate(*_wall(settings, self.keyring))
        self.progress = Counting(self.database, self._busy)
        self.reads = Reads(self.database, self._standby(), self.progress.catch_up)

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Opens the parts in the order in which events pass them, and closes them likewise."""
        settings, queue = self._settings, self.queue
        spool = Spool.open(settings.data_dir, settings.spool_max_bytes)
        pool = await open_pool(self._postgres, settings.consumers + 6, settings.store_timeout)
        await self.database.open()
        await self.reads.open()
        dead_letters = DeadLetters(pool, spool.replica)
        influx, broker = self._influx(pool, dead_letters), self._broker()
        references = IdCache(settings.known_names)
        noted = influx is not None
        sink = PostgresSink(pool, references, spool.replica, noted, self._handlers)
        store, ledger = Store(sink, dead_letters), Ledger(queue, spool)
        handler_pool = await open_single_use_pool(
            self._postgres, _HANDLER_CONNECTIONS, settings.store_timeout
        )
        runner = HandlerRunner(self._handlers, pool, handler_pool, dead_letters)

        publish = Publisher(self.hub, runner, influx).publish
        limits = Limits(settings.batch_max_events, settings.batch_linger, settings.store_timeout)
        schema = Schema(pool)
        fallback = SpoolDrain(spool, store, ledger, partial(self._probe, pool, schema), publish)
        consumers = Consumers(
            queue=queue,
            store=store,
            drain=fallback,
            ledger=ledger,
            publish=publish,
            limits=limits,
        )
        housekeeping = Housekeeping(pool, ledger, settings.rejected_max_days)
        clustering = Clustering(self.database, self._busy)
        self._replay = Replay(queue, runner, influx)
        self._parts = health.Parts(
            settings.project_name,
            settings.project_version,
            pool,
            queue,
            spool,
            fallback,
            ledger,
            consumers,
            self.hub,
            influx,
            broker,
            self.reads,
        )

        try:
            await schema.ensure()
        except Unavailable as error:
            fallback.activate(error)
        await self.keyring.start()
        if influx:
            influx.start()
        if broker:
            await broker.start()
        for part in (runner, fallback, housekeeping, clustering, self.progress):
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

            queue.closed = True
            if not await queue.wait_drained(remaining()):
                fallback.activate(Unavailable("The server is stopping"))
                pool.terminate()  # what hangs goes to the spool
                await queue.wait_drained(2.0)
            await consumers.stop()
            await fallback.stop()
            await housekeeping.stop()
            await clustering.stop()
            await runner.stop(remaining())
            await self.progress.stop()
            if broker:
                await broker.stop(remaining())
            if influx:
                await influx.stop(remaining())
            await self.keyring.stop()
            await self.reads.close(remaining())
            await self.database.close(remaining())
            await close_pool(handler_pool, remaining())
            await close_pool(pool, remaining())
            await spool.close()
            logger.info("Stopped")

    async def health(self) -> health.Health:
        if self._parts is None:
            raise Unavailable("The server is starting")
        return await health.check(self._parts)

    async def replay(self, letter: DeadLetter) -> str:
        if self._replay is None:
            raise Unavailable("The server is starting")
        return await self._replay.run(letter)

    async def _probe(self, pool: asyncpg.Pool, schema: Schema) -> None:
        await pool.expire_connections()  # after a loss of the network they would fail one by one
        await self.database.renew()
        try:
            await schema.ensure()
        except SchemaError as error:  # a running server keeps spooling, rather than stopping
            raise Unavailable(str(error)) from error

    def _busy(self) -> bool:
        return self.queue.events >= self._settings.batch_max_events

    def _standby(self) -> Database | None:
        server = self._settings.postgres_read_server
        if not server:
            return None
        address = {**self._postgres, "host": server}
        return Database(address, _API_CONNECTIONS, self._settings.store_timeout)

    def _influx(self, pool: asyncpg.Pool, dead_letters: DeadLetters) -> InfluxSink | None:
        if target := influx_target(self._settings):
            max_pending = self._settings.influxdb_max_pending
            return InfluxSink(target, PointsOutbox(pool), dead_letters, max_pending)
        return None

    def _broker(self) -> RedisBroker | None:
        settings = self._settings
        if not settings.redis_host:
            return None
        return RedisBroker(
            settings.redis_host, settings.redis_port, self.hub, settings.socket_max_pending
        )


def influx_target(settings: Settings) -> Target | None:
    """Where points go; None when no InfluxDB is named."""
    if not settings.influxdb_url:
        return None
    return Target(
        settings.influxdb_url,
        settings.influxdb_bucket,
        settings.influxdb_token,
        settings.influxdb_org,
    )


def trust(settings: Settings) -> Trust:
    return Trust(
        settings.jwt_secret,
        settings.jwt_jwks_url,
        settings.jwt_issuer,
        settings.jwt_audience,
        settings.jwt_user_claim,
        settings.jwt_role_claim,
    )


def _wall(settings: Settings, keyring: Keyring) -> tuple[Authenticator, Limiter | None, Origins]:
    """What the settings say of who may come in, how often, and from which web pages."""
    tokens = Tokens(trust(settings)) if settings.jwt_secret or settings.jwt_jwks_url else None
    hub = JupyterHubClient(settings.jupyterhub_api_url.rstrip("/"), settings.jupyterhub_instructors)
    known_hub = hub if settings.jupyterhub_api_url else None
    authenticator = Authenticator(keyring, tokens, known_hub, settings.recheck_credentials)
    is_private = authenticator.is_open and not settings.open_to_all
    rates = Rates(settings.minute_requests, settings.minute_events, settings.minute_bytes)
    limiter = None if is_private else Limiter(rates, settings.max_sockets)
    return authenticator, limiter, Origins(settings.backend_cors_origins, is_private)
