"""A running server: the one place that makes its components and says in which order they run."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import asyncpg
from starlette.applications import Starlette

from monitor.access import access
from monitor.addresses import influx_target, redis_address, standby_address
from monitor.auth.access_report import AccessReport
from monitor.auth.gate import Gate
from monitor.auth.keyring import Keyring
from monitor.auth.refusal_log import RefusalLog
from monitor.auth.revocations import Revocations
from monitor.database.dead_letters import DeadLetters, KeptLetter
from monitor.database.embedded.server import EmbeddedPostgres
from monitor.database.migrations import Schema, SchemaError
from monitor.database.pool import BY_KEYS, Database, open_pool, open_single_use_pool
from monitor.database.tracing import api_database, api_reads
from monitor.errors import Unavailable
from monitor.health import Health, summarise
from monitor.http.request_counts import RequestCounts
from monitor.insight.kept import Kept
from monitor.jobs.clustering import Clustering
from monitor.jobs.counting import Counting
from monitor.jobs.housekeeping import Housekeeping
from monitor.jobs.loop_lag import LoopLag
from monitor.jobs.supervision import Supervision
from monitor.jobs.withdrawing import Withdrawing
from monitor.lifecycle import Component, Lifecycle
from monitor.live.broker import RedisBroker
from monitor.live.history import History
from monitor.live.hub import Hub
from monitor.live.subscriber import SocketLimits
from monitor.metrics.exposition import Exposition, Metrics
from monitor.metrics.sources import Sources
from monitor.notifier import notifying
from monitor.pipeline.components import LedgerReport, Postgres, QueueComponent, SpoolFile
from monitor.pipeline.consumer import Consumers, Limits
from monitor.pipeline.handler_runner import HandlerRunner
from monitor.pipeline.handlers import load_handlers
from monitor.pipeline.id_cache import IdCache
from monitor.pipeline.ledger import Ledger
from monitor.pipeline.messages import Messages
from monitor.pipeline.publisher import Publisher
from monitor.pipeline.replay import Replay
from monitor.pipeline.spool.drain import SpoolDrain
from monitor.pipeline.spool.entries import Spool
from monitor.pipeline.tracing import batch_store, event_queue, postgres_sink
from monitor.settings import Settings
from monitor.shares import SharesReport
from monitor.timeseries.deletion import PointDeletions
from monitor.timeseries.influx import InfluxSink
from monitor.timeseries.outbox import PointsOutbox
from monitor.workers.pool import Workers

logger = logging.getLogger(__name__)

_API_CONNECTIONS = 8  # to PostgreSQL, beside the pipeline's
_HANDLER_CONNECTIONS = 4  # of custom handlers: one runs, others may be replayed
_CONSUMERS = 2  # tasks that store batches at the same time
_PIPELINE_CONNECTIONS = _CONSUMERS + 6  # the rest are for jobs, outboxes and the health report

_CACHED_IDS = 200_000  # of students, sessions and cells
_PENDING_POINTS = 200_000  # in memory, waiting for InfluxDB; beyond that the outbox has them
_SOCKET_BYTES = 1024 * 1024  # that a WebSocket may lag behind
GARBAGE = 50_000, 20, 20  # objects made, and collections, until garbage is collected
_HISTORY_BYTES = 16 * 1024 * 1024  # of messages kept for clients that reconnect


class Components:
    """All components of a server. `postgres` are asyncpg's connection arguments.

    The `embedded` PostgreSQL is kept running; the caller has started it, and stops it afterwards.
    Components that requests need are made at once, without I/O. Those that store events are made in
    `lifespan`: they need a running event loop and the spool of DATA_DIR, which identifies the
    replica.
    """

    def __init__(
        self,
        settings: Settings,
        postgres: Mapping[str, Any],
        embedded: EmbeddedPostgres | None = None,
    ) -> None:
        self._settings = settings
        self._embedded = embedded
        self._postgres = postgres
        self._handlers = load_handlers(settings.handlers)
        self._lifecycle = Lifecycle([])
        self._replay: Replay
        self._metrics: Metrics
        self.requests = RequestCounts(settings.api_v1_str)
        self.queue = event_queue(settings.queue_max_events, settings.queue_max_bytes)
        self.hub = Hub(
            History(settings.history_max_messages, _HISTORY_BYTES),
            SocketLimits(settings.socket_max_pending, _SOCKET_BYTES),
        )
        self.database = api_database(postgres, _API_CONNECTIONS, settings.store_timeout)
        keys = settings.data_dir / "ingest-keys.json"
        self.keyring = Keyring(self.database, keys, settings.daily_events)
        revoked = settings.data_dir / "revoked-tokens.json"
        self.revocations = Revocations(self.database, revoked)
        self.access_report = AccessReport(self.database)
        self.refusal_log = RefusalLog(self.database)
        entrance = access(settings, self.database, self.keyring, self.revocations)
        self.gate = Gate(*entrance, self.access_report, self.refusal_log.note)
        self.shares = SharesReport()
        self.shares.add(self.queue, self.keyring.usage.refusals)
        self.shares.add(self.hub.commands, self.hub.replays.turns)
        if limiter := self.gate.limiter:
            self.shares.add(limiter.refusals, limiter.sockets)
        if people := self.gate.authenticator.hub:
            self.shares.add(people.turns)
        if logins := self.gate.authenticator.logins:
            self.shares.add(logins.provider.turns)
        self.counting = Counting(self.database, self._is_busy)
        self.withdrawing = Withdrawing(self.database, influx_target(settings) is not None)
        self.notifying = notifying(settings, self.database)
        self.workers = Workers()
        self.shares.add(self.workers.turns)
        self.kept = Kept(settings.store_timeout)
        self.reads = api_reads(self.database, self._standby(), self.counting.catch_up)

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Raises MonitorError when the operator has to change something first."""
        spool = Spool.open(self._settings.data_dir, self._settings.spool_max_bytes)
        self._lifecycle = Lifecycle(await self._wire(spool))
        await self._lifecycle.start()
        _collect_garbage_less_often()
        logger.info("Started")
        try:
            yield
        finally:
            logger.info("Stopping")
            await self._metrics.stop()
            deadline = asyncio.get_running_loop().time() + self._settings.stop_timeout
            await self._lifecycle.stop(deadline)
            logger.info("Stopped")

    async def _wire(self, spool: Spool) -> list[Component]:
        """The components in the order of their start, which is that of their stop reversed."""
        settings, queue = self._settings, self.queue
        pool = await open_pool(
            self._postgres, _PIPELINE_CONNECTIONS, settings.store_timeout, BY_KEYS
        )
        dead_letters = DeadLetters(pool, spool.replica)
        influx, broker = self._influx(pool, dead_letters), self._broker()
        handler_pool = await open_single_use_pool(
            self._postgres, _HANDLER_CONNECTIONS, settings.store_timeout
        )
        runner = HandlerRunner(self._handlers, pool, handler_pool, dead_letters)
        messages = Messages(self.gate.authenticator.is_open)
        publisher = Publisher(self.hub, messages, runner, influx)
        publish = publisher.publish
        ids = IdCache(_CACHED_IDS)
        self.shares.add(ids.new.students, ids.new.sessions)
        sink = postgres_sink(pool, ids, spool.replica, influx is not None, self._handlers)
        store, ledger = batch_store(queue, sink, dead_letters), Ledger(queue, spool)
        schema = Schema(pool)
        drain = SpoolDrain(spool, store, ledger, partial(self._probe, pool, schema), publish)
        limits = Limits(settings.batch_max_events, settings.batch_linger, settings.store_timeout)
        consumers = Consumers(
            queue=queue,
            store=store,
            drain=drain,
            ledger=ledger,
            publish=publish,
            limits=limits,
            count=_CONSUMERS,
        )
        loop_lag = LoopLag()
        pools = {"pipeline": pool, "handlers": handler_pool}
        self._metrics = Metrics(
            Sources(
                version=settings.project_version,
                data_dir=settings.data_dir,
                requests=self.requests,
                authenticator=self.gate.authenticator,
                shares=self.shares,
                queue=queue,
                ledger=ledger,
                consumers=consumers,
                spool=spool,
                drain=drain,
                publisher=publisher,
                hub=self.hub,
                broker=broker,
                influx=influx,
                loop_lag=loop_lag,
                embedded=self._embedded,
                database=self.database,
                pools=partial(self._pools, pools),
                health=lambda: self._lifecycle.health(),
            )
        )
        self.notifying.watch(lambda: self._lifecycle.health())
        self._replay = Replay(queue, runner, influx, self.database)
        supervision = Supervision(self._embedded) if self._embedded else None
        in_order: list[Component | None] = [
            supervision,
            SpoolFile(spool, drain),
            Postgres(pool, handler_pool, self.database, schema, drain),
            LedgerReport(ledger, pool, spool, drain),
            self.reads,
            self.workers,
            self.keyring,
            self.revocations,
            self.access_report,
            self.refusal_log,
            self.shares,
            influx,
            PointDeletions(pool, influx) if influx else None,
            broker,
            runner,
            Housekeeping(pool, ledger, settings.rejected_max_days),
            Clustering(self.database, self._is_busy),
            self.withdrawing,
            self.notifying,
            self.counting,
            loop_lag,  # late: what the others do at their start is no lag
            drain,
            consumers,
            QueueComponent(queue, drain, pool),  # last, so that it is stopped first
        ]
        return [component for component in in_order if component]

    async def health(self) -> Health:
        """Asks each component; PostgreSQL has a second to answer."""
        return summarise(
            await self._lifecycle.health(),
            project=self._settings.project_name,
            version=self._settings.project_version,
            sockets=self.hub.sockets,
        )

    async def scrape(self, accept: str) -> Exposition:
        """The metrics, in the format that an `Accept` header asks for."""
        return await self._metrics.scrape(accept)

    async def replay(self, letter: KeptLetter) -> str:
        """Tries a dead letter again. Raises ReplayFailed, or Unavailable."""
        return await self._replay.run(letter)

    async def _probe(self, pool: asyncpg.Pool, schema: Schema) -> None:
        """Raises Unavailable while PostgreSQL can't be used."""
        await pool.expire_connections()  # after a loss of the network they would fail one by one
        await self.database.renew()
        self.counting.cut_off()
        try:
            await schema.ensure()
        except SchemaError as error:  # a running server keeps spooling, rather than stopping
            raise Unavailable(str(error)) from error

    def _pools(self, pipeline: Mapping[str, asyncpg.Pool]) -> Mapping[str, asyncpg.Pool | None]:
        return {**pipeline, "api": self.database.pool, "standby": self.reads.pool}

    def _is_busy(self) -> bool:
        return self.queue.events >= self._settings.batch_max_events

    def _standby(self) -> Database | None:
        address = standby_address(self._settings, self._postgres)
        if address is None:
            return None
        return Database(address, _API_CONNECTIONS, self._settings.store_timeout)

    def _influx(self, pool: asyncpg.Pool, dead_letters: DeadLetters) -> InfluxSink | None:
        if target := influx_target(self._settings):
            return InfluxSink(target, PointsOutbox(pool), dead_letters, _PENDING_POINTS)
        return None

    def _broker(self) -> RedisBroker | None:
        if address := redis_address(self._settings):
            return RedisBroker(address, self.hub, self._settings.socket_max_pending)
        return None


def _collect_garbage_less_often() -> None:
    """Batches are many objects without cycles, and those made at the start stay."""
    gc.freeze()
    gc.set_threshold(*GARBAGE)
