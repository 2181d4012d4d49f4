"""Consumers between a queue and a real PostgreSQL, with a spool of their own."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from monitor import Handlers
from monitor.database.dead_letters import DeadLetters
from monitor.database.migrations import Schema
from monitor.events.event import Event, Payload
from monitor.pipeline.consumer import Consumers, Limits
from monitor.pipeline.id_cache import IdCache
from monitor.pipeline.ledger import Ledger
from monitor.pipeline.postgres import PostgresSink, Stored
from monitor.pipeline.queue import EventQueue, Receipt
from monitor.pipeline.spool.drain import SpoolDrain
from monitor.pipeline.spool.entries import Spool
from monitor.pipeline.store import Store


class RunningConsumers:
    """A queue with its consumers, the spool behind them, and what they have published."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        spool: Spool,
        timeout: float,
        queue_events: int,
        has_influx: bool = False,
    ) -> None:
        self.published: list[Stored] = []
        self.directory: Path
        self.spool = spool
        self.queue = EventQueue(queue_events, 10_000)
        self.ledger = Ledger(self.queue, spool)
        letters = DeadLetters(pool, spool.replica)
        sink = PostgresSink(
            pool, IdCache(1_000), spool.replica, has_influx=has_influx, handlers=Handlers()
        )
        store = Store(sink, letters)
        self.drain = SpoolDrain(
            spool, store, self.ledger, Schema(pool).ensure, self.published.extend
        )
        self.consumers = Consumers(
            queue=self.queue,
            store=store,
            drain=self.drain,
            ledger=self.ledger,
            publish=self.published.extend,
            limits=Limits(max(50, queue_events // 5), 0.01, timeout),
        )

    @property
    def spool_files(self) -> list[Path]:
        """The files of the spool that hold entries, the oldest first."""
        return sorted((self.directory / "spool").glob("*.3"))

    async def put(self, *events: Event, size: int = 1) -> Receipt:
        receipt = self.queue.put(Payload(list(events), []), size)
        return await asyncio.wait_for(receipt, 10)


@asynccontextmanager
async def run_consumers(
    pool: asyncpg.Pool,
    timeout: float = 5.0,
    spool_bytes: int = 1_000_000,
    directory: Path | None = None,
    queue_events: int = 100,
) -> AsyncIterator[RunningConsumers]:
    """Two consumers and the drain, on the spool of `directory`, or else an empty one."""
    with tempfile.TemporaryDirectory() as empty:
        data_dir = directory or Path(empty)
        spool = Spool.open(data_dir, spool_bytes)
        started = RunningConsumers(pool, spool, timeout, queue_events)
        started.directory = data_dir
        await started.drain.start()
        await started.consumers.start()
        try:
            yield started
        finally:
            await started.consumers.stop(0)
            await started.drain.stop(0)
            await spool.close()


async def stored_ids(pool: asyncpg.Pool) -> list[str]:
    rows = await pool.fetch("SELECT event_id FROM cell_executions")
    return sorted(str(row["event_id"]) for row in rows)


def ids_of(*events: Event) -> list[str]:
    return sorted(str(event.id) for event in events)
