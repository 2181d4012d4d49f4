"""Stores batches: events in PostgreSQL, refused ones as dead letters, a receipt per request."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import tenacity

from monitor.database.dead_letters import DeadLetters
from monitor.database.pool import UNAVAILABLE_ERRORS
from monitor.errors import RowRefused, Unavailable
from monitor.events.dialects import as_json
from monitor.events.event import Event, Payload, Rejected
from monitor.pipeline.postgres import PostgresSink, Stored
from monitor.pipeline.queue import Receipt

logger = logging.getLogger(__name__)

_REFUSED_ATTEMPTS = 3  # attempts, while PostgreSQL is up and refuses the batch


class BatchResult(NamedTuple):
    """The receipt of each payload of a batch, and what was committed: one part, or several."""

    receipts: list[Receipt]
    stored: list[Stored]


class StoreInterrupted(Unavailable):
    """PostgreSQL became unavailable midway; `stored` was committed before, if anything was."""

    def __init__(self, message: str, stored: list[Stored]) -> None:
        super().__init__(message)
        self.stored = stored


class _Refusal(NamedTuple):
    """Why an event is not stored. By the policy of its class, it is valid nevertheless."""

    reason: str
    by_policy: bool


class _Written(NamedTuple):
    """The outcome of a batch's events; duplicates and refused ones by position in the batch."""

    stored: list[Stored]
    duplicates: set[int]
    refused: dict[int, _Refusal]


class _StopWhenRefused(tenacity.stop.stop_base):
    """Stops retrying when PostgreSQL is available and has refused the events several times."""

    def __call__(self, state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        unavailable = error is None or isinstance(error.__cause__, UNAVAILABLE_ERRORS)
        return state.attempt_number >= _REFUSED_ATTEMPTS and not unavailable


class Store:
    """Stores batches of payloads; what can't be stored as an event becomes a dead letter.

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

    async def put(self, batch: Sequence[Payload], deadline: float) -> BatchResult:
        """Stores the batch until `deadline`, by the event loop's clock.

        Raises StoreInterrupted when PostgreSQL could not store all of it by then. The batch may be
        put again: what the first attempt committed is recognised.
        """
        written = await self._write([event for each in batch for event in each.events], deadline)
        receipts = _receipts(batch, written)
        if rejected := [item for receipt in receipts for item in receipt.rejected]:
            try:
                await self._retried(deadline)(self._dead_letters.add, "ingest", rejected, deadline)
            except Unavailable as error:
                raise StoreInterrupted(str(error), written.stored) from error.__cause__
        return BatchResult(receipts, written.stored)

    async def _write(self, events: list[Event], deadline: float) -> _Written:
        """Stores all storable events; isolates bad ones by bisection."""
        stored: list[Stored] = []
        duplicates: set[int] = set()
        refused: dict[int, _Refusal] = {}
        spans = [(0, len(events))] if events else []
        while spans:
            first, end = spans.pop()
            try:
                part = await self._write_or_retry(events[first:end], deadline)
            except Unavailable as error:
                raise StoreInterrupted(str(error), stored) from error.__cause__
            except Exception as error:  # a bug in handling one event must not stop the others
                if end - first > 1:
                    middle = (first + end) // 2
                    spans += [(middle, end), (first, middle)]
                    continue
                if not isinstance(error, RowRefused):
                    logger.exception("Event %s could not be handled", events[first].id)
                refused[first] = _Refusal(str(error) or type(error).__name__, False)
            else:
                self.committed_at = asyncio.get_running_loop().time()
                stored.append(part)
                duplicates.update(first + position for position in part.duplicates)
                refused |= {
                    first + position: _Refusal(reason, True)
                    for position, reason in part.refused.items()
                }
        return _Written(stored, duplicates, refused)

    async def _write_or_retry(self, events: list[Event], deadline: float) -> Stored:
        try:
            return await self._sink.write(events, deadline)
        except Unavailable:  # only here, because tenacity costs time even where nothing fails
            if asyncio.get_running_loop().time() < deadline:
                retried = self._retried(deadline)
                with suppress(Unavailable):  # the first error says more than "timed out"
                    stored: Stored = await retried(self._sink.write, events, deadline)
                    return stored
            raise

    def _retried(self, deadline: float) -> tenacity.AsyncRetrying:
        remaining = deadline - asyncio.get_running_loop().time()
        return self._retry.copy(stop=_StopWhenRefused() | tenacity.stop_after_delay(remaining))


def _receipts(batch: Sequence[Payload], written: _Written) -> list[Receipt]:
    if not written.duplicates and not written.refused:
        return [Receipt(len(each.events), 0, 0, each.rejected) for each in batch]
    receipts, first = [], 0
    for payload in batch:
        receipts.append(_receipt(payload, first, written))
        first += len(payload.events)
    return receipts


def _receipt(payload: Payload, first: int, written: _Written) -> Receipt:
    """The receipt of a payload whose events are those of the batch from position `first` on."""
    rejected = payload.rejected + [
        Rejected(
            index=index,
            path="",
            reason=written.refused[position].reason,
            raw=as_json(event),
            received_at=event.received_at,
            source=event.source,
            by_policy=written.refused[position].by_policy,
        )
        for position, (index, event) in enumerate(payload.numbered(), first)
        if position in written.refused
    ]
    positions = range(first, first + len(payload.events))
    duplicates = sum(position in written.duplicates for position in positions)
    return Receipt(len(payload) - duplicates - len(rejected), duplicates, 0, rejected)
