"""Consumers: take a batch, store it, acknowledge it, publish what is new."""

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import tenacity

from monitor.errors import RowRefused, Unavailable
from monitor.events import Event, Rejected, as_json
from monitor.pipeline.batch import EventQueue, Receipt, Submission
from monitor.pipeline.postgres import PostgresSink, Stored

logger = logging.getLogger(__name__)


class Limits(NamedTuple):
    """How large a batch grows, how long it waits to grow, how long to try to store it (s)."""

    max_events: int
    linger: float
    patience: float


class Ledger(msgspec.Struct):
    """What has become of all items so far: received = stored + duplicates + rejected + pending."""

    stored: int = 0
    duplicates: int = 0
    rejected: int = 0

    def add(self, receipt: Receipt) -> None:
        self.stored += receipt.stored
        self.duplicates += receipt.duplicates
        self.rejected += len(receipt.rejected)


class Outcome:
    """What became of a batch's events, as far as it has got."""

    def __init__(self) -> None:
        self.stored: list[Stored] = []
        self.refused: dict[Event, str] = {}

    def receipts(self, batch: list[Submission]) -> list[Receipt]:
        duplicates = {event for stored in self.stored for event in stored.duplicates}
        if not duplicates and not self.refused:
            return [Receipt(len(each.events), 0, each.rejected) for each in batch]
        return [self._receipt(submission, duplicates) for submission in batch]

    def _receipt(self, submission: Submission, duplicates: set[Event]) -> Receipt:
        rejected = submission.rejected + [
            Rejected(index, "", self.refused[event], as_json(event))
            for index, event in submission.numbered()
            if event in self.refused
        ]
        repeated = sum(event in duplicates for event in submission.events)
        return Receipt(len(submission) - repeated - len(rejected), repeated, rejected)


class Consumers:
    """A pool of tasks that drain the queue into PostgreSQL.

    `publish` is called with what has been committed, after the requests have been answered.
    """

    def __init__(
        self,
        queue: EventQueue,
        sink: PostgresSink,
        publish: Callable[[Stored], None],
        limits: Limits,
    ) -> None:
        self._queue = queue
        self._sink = sink
        self._publish = publish
        self._limits = limits
        self._tasks: list[asyncio.Task[None]] = []
        self._retry = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Unavailable),
            wait=tenacity.wait_exponential_jitter(multiplier=0.05, max=1),
            stop=tenacity.stop_after_delay(limits.patience),
            reraise=True,
        )
        self.ledger = Ledger()

    def start(self, count: int) -> None:
        self._tasks = [asyncio.create_task(self._consume()) for _ in range(count)]

    @property
    def alive(self) -> int:
        return sum(not task.done() for task in self._tasks)

    async def stop(self) -> None:
        """Ends the tasks at once. Whoever wants the queue drained waits for that first."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _consume(self) -> None:
        while True:
            batch = await self._queue.take(self._limits.max_events, self._limits.linger)
            outcome = Outcome()
            try:
                await self._store(batch, outcome)
            except Unavailable as error:
                _answer(batch, error)
            except Exception:  # a consumer outlives a fault of ours: its clients try again
                logger.exception("A batch of %d submissions could not be stored", len(batch))
                _answer(batch, Unavailable("The events could not be stored"))
            finally:
                _answer(batch, Unavailable("The server is stopping"))
                for submission in batch:
                    self._queue.release(submission)
            self._publish_all(outcome.stored)

    async def _store(self, batch: list[Submission], outcome: Outcome) -> None:
        """Stores events and dead letters, then acknowledges both."""
        events = [event for submission in batch for event in submission.events]
        if events:
            await self._write(events, outcome)
        receipts = outcome.receipts(batch)
        if dead_letters := [item for receipt in receipts for item in receipt.rejected]:
            await self._retry(self._sink.reject, "ingest", dead_letters)
        for submission, receipt in zip(batch, receipts, strict=True):
            submission.answer(receipt)
            self.ledger.add(receipt)

    async def _write(self, events: list[Event], outcome: Outcome) -> None:
        """Stores the events but for those that PostgreSQL refuses, which it finds by halving."""
        try:
            outcome.stored.append(await self._retry(self._sink.write, events))
        except RowRefused as error:
            if len(events) == 1:
                outcome.refused[events[0]] = str(error)
                return
            middle = len(events) // 2
            await self._write(events[:middle], outcome)
            await self._write(events[middle:], outcome)

    def _publish_all(self, batches: list[Stored]) -> None:
        for stored in batches:
            try:
                self._publish(stored)
            except Exception:  # the events are stored and answered all the same
                logger.exception("%d stored events were not published", len(stored.events))


def _answer(batch: list[Submission], error: Unavailable) -> None:
    for submission in batch:
        submission.answer(error)
