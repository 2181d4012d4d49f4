"""From items to receipts: stores events and dead letters, and finds the rows that can't be."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

import tenacity

from monitor.database.dead_letters import DeadLetters
from monitor.database.pool import UNAVAILABLE_ERRORS
from monitor.errors import RowRefused, Unavailable
from monitor.events.dialects import as_json
from monitor.events.event import Event, Payload, Rejected
from monitor.pipeline.postgres import PostgresSink, Stored
from monitor.pipeline.queue import Receipt

logger = logging.getLogger(__name__)

_FEW_TRIES = 3


class _Refused(tenacity.stop.stop_base):
    """Stops where PostgreSQL is there, and has said no to these events several times."""

    def __call__(self, state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        absent = error is None or isinstance(error.__cause__, UNAVAILABLE_ERRORS)
        return state.attempt_number >= _FEW_TRIES and not absent


class Outcome:
    """What became of a batch's events, as far as it has got."""

    def __init__(self) -> None:
        self.stored: list[Stored] = []
        self.refused: dict[Event, str] = {}

    def receipts(self, batch: Sequence[Payload]) -> list[Receipt]:
        duplicates = {event for stored in self.stored for event in stored.duplicates}
        if not duplicates and not self.refused:
            return [Receipt(len(each.events), 0, 0, each.rejected) for each in batch]
        return [self._receipt(items, duplicates) for items in batch]

    def _receipt(self, items: Payload, duplicates: set[Event]) -> Receipt:
        rejected = items.rejected + [
            Rejected(index, "", self.refused[event], as_json(event), event.received_at)
            for index, event in items.numbered()
            if event in self.refused
        ]
        repeated = sum(event in duplicates for event in items.events)
        return Receipt(len(items) - repeated - len(rejected), repeated, 0, rejected)


class Store:
    """Puts all items of a batch where they belong: events, or dead letters.

    `committed_at` is when events were last committed, by the event loop's clock.
    """

    def __init__(self, sink: PostgresSink, dead_letters: DeadLetters) -> None:
        self._sink = sink
        self._dead_letters = dead_letters
        self.committed_at = 0.0
        self._retry = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Unavailable),
            wait=tenacity.wait_exponential_jitter(multiplier=0.05, max=1, jitter=0.1),
            reraise=True,
        )

    async def put(
        self, batch: Sequence[Payload], outcome: Outcome, deadline: float
    ) -> list[Receipt]:
        """The receipt of each of the batch's items; `outcome` tells what has been committed.

        Raises Unavailable when PostgreSQL couldn't do it until `deadline`, by the event loop's
        clock. Part of it may have been committed then, and is found to be when it is put again.
        """
        if events := [event for items in batch for event in items.events]:
            await self._write(events, outcome, deadline)
        receipts = outcome.receipts(batch)
        if dead := [item for receipt in receipts for item in receipt.rejected]:
            await self._retried(deadline)(self._dead_letters.add, "ingest", dead, deadline)
        return receipts

    async def _write_or_retry(self, events: list[Event], deadline: float) -> Stored:
        try:
            return await self._sink.write(events, deadline)
        except Unavailable:  # tenacity takes a while to get going: only where there is need
            if asyncio.get_running_loop().time() < deadline:
                retried = self._retried(deadline)
                with suppress(Unavailable):  # which may say no more than that the time is over
                    stored: Stored = await retried(self._sink.write, events, deadline)
                    return stored
            raise

    def _retried(self, deadline: float) -> tenacity.AsyncRetrying:
        remaining = deadline - asyncio.get_running_loop().time()
        return self._retry.copy(stop=_Refused() | tenacity.stop_after_delay(remaining))

    async def _write(self, events: list[Event], outcome: Outcome, deadline: float) -> None:
        """Stores the events but for those that can't be stored, which it finds by halving."""
        try:
            outcome.stored.append(await self._write_or_retry(events, deadline))
            self.committed_at = asyncio.get_running_loop().time()
        except Unavailable:
            raise
        except Exception as error:  # a fault of ours in handling one event must not stop the others
            if len(events) > 1:
                middle = len(events) // 2
                await self._write(events[:middle], outcome, deadline)
                await self._write(events[middle:], outcome, deadline)
                return
            if not isinstance(error, RowRefused):
                logger.exception("Event %s could not be handled", events[0].id)
            outcome.refused[events[0]] = str(error) or type(error).__name__
