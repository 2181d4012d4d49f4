"""Stores batches: events in PostgreSQL, refused ones as dead letters, a receipt per request.

What becomes of a batch that can't be stored in time depends on the cause:

    stored ── an event is refused ──> bisected; the event becomes a dead letter
      │
      └ not in time, or an error ──> PostgreSQL is checked by a transaction of its own
          │
          ├ the check fails ──────> AWAY: StoreInterrupted; all events are spooled until it passes
          ├ the error is one of
          │ MISCONFIGURED_ERRORS ─> MISCONFIGURED: as AWAY, and the reason says what to change
          └ the check passes ─────> SLOW: the batch is divided by source; the others are stored,
                                    and what is left of a source is spooled without the others;
                                    the source is stored apart for a while

An error of the driver on a connection that was closed meanwhile is never an event's fault.
"""

import asyncio
import logging
import sys
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import accumulate, chain
from typing import NamedTuple

import tenacity

from monitor.database.dead_letters import DeadLetters
from monitor.database.errors import MISCONFIGURED_ERRORS, UNAVAILABLE_ERRORS
from monitor.errors import RowRefused, Unavailable
from monitor.events.dialects import as_json
from monitor.events.event import NO_SOURCE, Event, Payload, Rejected
from monitor.events.types import home_table
from monitor.pipeline.postgres import PostgresSink, Stored
from monitor.pipeline.queue import Receipt

logger = logging.getLogger(__name__)

_REFUSED_ATTEMPTS = 3  # attempts, while PostgreSQL is up and refuses the batch
_PART_TIMEOUT = 0.5  # seconds for a part of a batch that was slow
_ISOLATION_TIMEOUT = 2.0  # seconds for all of its parts


class BatchResult(NamedTuple):
    """The receipt of each payload of a batch, and what was committed: one part, or several.

    `left` are the positions of payloads that could not be stored though PostgreSQL stores others,
    each with the reason: they have no receipt, and are to be stored later.
    """

    receipts: list[Receipt | None]
    stored: list[Stored]
    left: dict[int, Unavailable]


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

    async def put(
        self, batch: Sequence[Payload], deadline: float, step: int = sys.maxsize
    ) -> BatchResult:
        """Stores the batch until `deadline`, by the event loop's clock.

        With `step` a transaction has at most so many events: others' turns come between them.
        Raises StoreInterrupted when PostgreSQL could not store all of it by then. The batch may be
        put again: what the first attempt committed is recognised.
        """
        events = [event for each in batch for event in each.events]
        written = await self._write(events, deadline, step)
        receipts = _receipts(batch, written)
        if rejected := [item for each in receipts if each for item in each.rejected]:
            try:
                await self._retried(deadline)(self._dead_letters.add, "ingest", rejected, deadline)
            except Unavailable as error:
                raise StoreInterrupted(str(error), written.stored) from error.__cause__
        return BatchResult(receipts, written.stored, {})

    async def put_or_isolate(
        self, batch: Sequence[Payload], deadline: float, step: int = sys.maxsize
    ) -> BatchResult:
        """As `put`; if the batch is slow, stores all of it but the slow sources.

        That takes up to _ISOLATION_TIMEOUT longer. Raises StoreInterrupted when PostgreSQL stores
        nothing now.
        """
        several = len({source_of(payload) for payload in batch}) > 1
        now = asyncio.get_running_loop().time()
        first_deadline = now + (deadline - now) / 2 if several else deadline
        try:
            return await self.put(batch, first_deadline, step)
        except StoreInterrupted as error:
            if isinstance(error.__cause__, MISCONFIGURED_ERRORS):
                raise
            try:
                await self._sink.check()
            except Unavailable as away:
                raise StoreInterrupted(str(away), error.stored) from away.__cause__
            logger.warning("A batch is divided by source, because it is slow: %s", error)
            return await self._isolate(batch)  # what was committed is recognised, and published

    async def _isolate(self, batch: Sequence[Payload]) -> BatchResult:
        loop = asyncio.get_running_loop()
        end = loop.time() + _ISOLATION_TIMEOUT
        result = BatchResult([None] * len(batch), [], {})
        parts = [part for part in _heaviest_last(batch, range(len(batch))) if part]
        while parts:
            part = parts.pop(0)
            payloads = [batch[position] for position in part]
            try:
                deadline = min(loop.time() + _PART_TIMEOUT, end)
                receipts, stored, _ = await self.put(payloads, deadline)
            except StoreInterrupted as error:
                if len({source_of(payload) for payload in payloads}) > 1 and loop.time() < end:
                    parts[:0] = _heaviest_last(batch, part)
                else:
                    result.left.update(dict.fromkeys(part, error))
            else:
                result.stored.extend(stored)
                for position, receipt in zip(part, receipts, strict=True):
                    result.receipts[position] = receipt
        return result

    async def _write(self, events: list[Event], deadline: float, step: int) -> _Written:
        """Stores all storable events, `step` at a time; isolates bad ones by bisection."""
        stored: list[Stored] = []
        duplicates: set[int] = set()
        refused: dict[int, _Refusal] = {}
        count = len(events)
        spans = [(first, min(first + step, count)) for first in range(0, count, step)][::-1]
        repeated = _repeated(events) if count > step else {}
        while spans:
            first, end = spans.pop()
            positions = [each for each in range(first, end) if each not in repeated]
            try:
                part = await self._write_or_retry([events[each] for each in positions], deadline)
            except Unavailable as error:
                raise StoreInterrupted(str(error), stored) from error.__cause__
            except Exception as error:  # a bug in handling one event must not stop the others
                if end - first > 1:
                    repeated = repeated or _repeated(events)
                    middle = (first + end) // 2
                    spans += [(middle, end), (first, middle)]
                    continue
                if not isinstance(error, RowRefused):
                    logger.exception("Event %s could not be handled", events[first].id)
                refused[first] = _Refusal(str(error) or type(error).__name__, False)
            else:
                self.committed_at = asyncio.get_running_loop().time()
                stored.append(part)
                duplicates.update(positions[each] for each in part.duplicates)
                refused |= {
                    positions[each]: _Refusal(reason, True) for each, reason in part.refused.items()
                }
        duplicates.update(position for position in repeated if repeated[position] not in refused)
        refused |= {each: refused[same] for each, same in repeated.items() if same in refused}
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


def _repeated(events: Sequence[Event]) -> dict[int, int]:
    """The positions of events that are there before, with those of the first ones.

    PostgreSQL would take them for events of an attempt whose reply was lost, where the two are not
    in one transaction.
    """
    first: dict[tuple[object, ...], int] = {}
    repeated = {}
    for position, event in enumerate(events):
        table = home_table(event.type)  # an event of the same id is another one in another table
        same = first.setdefault((event.student, event.id, event.time, table.name), position)
        if same != position:
            repeated[position] = same
    return repeated


def source_of(payload: Payload) -> str:
    """Who is isolated with a payload that is slow: its credential, at one address if it is shared.

    Without a credential that is the student, or the address where no item is an event.
    """
    if not payload.events:
        source = payload.rejected[0].source if payload.rejected else NO_SOURCE
        return f"{source.credential or ''} at {source.payer or ''}"
    event = payload.events[0]
    source = event.source
    if source.credential is None:
        return f"student {event.student}"
    return f"{source.credential} at {source.payer or ''}"


def _heaviest_last(batch: Sequence[Payload], part: Iterable[int]) -> tuple[list[int], list[int]]:
    """The positions in two halves, each of whole sources; the last has that of the most events."""
    by_source: defaultdict[str, list[int]] = defaultdict(list)
    for position in part:
        by_source[source_of(batch[position])].append(position)
    sources = sorted(
        by_source.values(), key=lambda positions: sum(len(batch[each]) for each in positions)
    )
    weights = list(accumulate(sum(len(batch[each]) for each in source) for source in sources))
    middle = bisect_right(weights, weights[-1] / 2) or len(sources) - 1
    return list(chain(*sources[:middle])), list(chain(*sources[middle:]))


def _receipts(batch: Sequence[Payload], written: _Written) -> list[Receipt | None]:
    if not written.duplicates and not written.refused:
        return [Receipt(len(each.events), 0, 0, each.rejected) for each in batch]
    receipts: list[Receipt | None] = []
    first = 0
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
