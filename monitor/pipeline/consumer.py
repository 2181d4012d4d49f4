"""Consumers: take a batch, store it, acknowledge it, publish what is new."""

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from monitor.errors import Unavailable
from monitor.pipeline.ledger import Ledger
from monitor.pipeline.postgres import Stored
from monitor.pipeline.queue import EventQueue, PendingRequest, Receipt
from monitor.pipeline.spool.drain import SpoolDrain
from monitor.pipeline.store import Outcome, Store
from monitor.tasks import cancel_and_wait

logger = logging.getLogger(__name__)

_LEAST_PATIENCE = 1.0  # seconds for a batch that has waited long: slow is not away


class Limits(NamedTuple):
    """How large a batch grows, how long it waits to grow, how long an event waits to commit (s)."""

    max_events: int
    linger: float
    patience: float


class Consumers:
    """A pool of tasks that drain the queue into PostgreSQL or, while that is away, the spool.

    `publish` is called with what has been committed, after the requests have been answered.
    """

    def __init__(
        self,
        queue: EventQueue,
        store: Store,
        fallback: SpoolDrain,
        ledger: Ledger,
        publish: Callable[[list[Stored]], None],
        limits: Limits,
    ) -> None:
        self._queue = queue
        self._store = store
        self._fallback = fallback
        self._ledger = ledger
        self._publish = publish
        self._limits = limits
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, count: int) -> None:
        self._tasks = [asyncio.create_task(self._consume()) for _ in range(count)]

    @property
    def alive(self) -> int:
        return sum(not task.done() for task in self._tasks)

    async def stop(self) -> None:
        """Ends the tasks at once. Whoever wants the queue drained waits for that first."""
        await cancel_and_wait(*self._tasks)

    async def _consume(self) -> None:
        while True:
            batch = await self._queue.take(self._limits.max_events, self._limits.linger)
            outcome = Outcome()
            try:
                await self._acknowledge(batch, outcome)
            except Unavailable as error:
                self._refuse(batch, error)
            except asyncio.CancelledError:
                self._refuse(batch, Unavailable("The server is stopping"))
                raise
            except Exception:  # a consumer outlives a fault of ours: its clients try again
                logger.exception("A batch of %d submissions could not be stored", len(batch))
                self._refuse(batch, Unavailable("The events could not be stored"))
            finally:
                for submission in batch:
                    self._queue.release(submission)
            self._publish(outcome.stored)

    async def _acknowledge(self, batch: list[PendingRequest], outcome: Outcome) -> None:
        if not self._fallback.active:
            try:
                return await self._commit(batch, outcome)
            except Unavailable as error:
                self._fallback.activate(error)
        await self._fallback.take([submission.items for submission in batch])
        outcome.stored.clear()  # the spool brings it all in once more, and publishes it then
        for submission in batch:
            events = len(submission.items.events)
            submission.answer(Receipt(spooled=events, rejected=submission.items.rejected))
        return None

    async def _commit(self, batch: list[PendingRequest], outcome: Outcome) -> None:
        deadline = batch[0].arrived + self._limits.patience
        receipts = await self._store.put(
            [submission.items for submission in batch],
            outcome,
            max(deadline, asyncio.get_running_loop().time() + _LEAST_PATIENCE),
        )
        for submission, receipt in zip(batch, receipts, strict=True):
            submission.answer(receipt)
            self._ledger.add(receipt)

    def _refuse(self, batch: list[PendingRequest], error: Unavailable) -> None:
        for submission in batch:
            self._queue.received -= len(submission)
            submission.answer(error)
