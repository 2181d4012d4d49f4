"""Consumers between a queue and a real PostgreSQL, with a spool of their own."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from monitor.database.dead_letters import DeadLetters
from monitor.database.migrations import Schema
from monitor.events.event import Event, Payload
from monitor.pipeline.consumer import Consumers, Limits
from monitor.pipeline.handlers import Handlers
from monitor.pipeline.id_cache import IdCache
from monitor.pipeline.ledger import Ledger
from monitor.pipeline.postgres import PostgresSink, Stored
from monitor.pipeline.queue import EventQueue, Receipt
from monitor.pipeline.spool.drain import SpoolDrain
from monitor.pipeline.spool.entries import Spool
from monitor.pipeline.store import Store


class RunningConsumers:
    """A queue with its consumers, the spool behind them, and what they have published."""

    def __init__(self, pool: asyncpg.Pool, spool: Spool, patience: float) -> None:
        self.published: list[Stored] = []
        self.wal: Path
        self.spool = spool
        self.queue = EventQueue(100, 10_000)
        self.ledger = Ledger(self.queue, spool)
        letters = DeadLetters(pool, spool.replica)
        sink = PostgresSink(pool, IdCache(1_000), spool.replica, outbox=False, handlers=Handlers())
        store = Store(sink, letters)
        self.fallback = SpoolDrain(
            spool, store, self.ledger, Schema(pool).ensure, self.published.extend
        )
        self.consumers = Consumers(
            self.queue,
            store,
            self.fallback,
            self.ledger,
            self.published.extend,
            Limits(50, 0.01, patience),
        )

    async def put(self, *events: Event, size: int = 1) -> Receipt:
        receipt = self.queue.put(Payload(list(events), []), size)
        return await asyncio.wait_for(receipt, 10)


@asynccontextmanager
async def run_consumers(
    pool: asyncpg.Pool, patience: float = 5.0, spool_bytes: int = 1_000_000
) -> AsyncIterator[RunningConsumers]:
    with tempfile.TemporaryDirectory() as directory:
        spool = Spool.open(Path(directory), spool_bytes)
        started = RunningConsumers(pool, spool, patience)
        started.wal = Path(directory) / "spool.sqlite-wal"
        started.fallback.start()
        started.consumers.start(2)
        try:
            yield started
        finally:
            await started.consumers.stop()
            await started.fallback.stop()
            await spool.close()


async def stored_ids(pool: asyncpg.Pool) -> list[str]:
    rows = await pool.fetch("SELECT event_id FROM cell_executions")
    return sorted(str(row["event_id"]) for row in rows)


def ids_of(*events: Event) -> list[str]:
    return sorted(str(event.id) for event in events)
