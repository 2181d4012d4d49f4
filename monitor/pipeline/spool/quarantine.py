"""Quarantine: spooled entries that fail while others are stored are retried, split, given up."""

import asyncio
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import msgspec

from monitor.events.dialects import as_json
from monitor.events.event import Payload, Rejected
from monitor.pipeline.spool.entries import Entries, Spool
from monitor.pipeline.store import Store

logger = logging.getLogger(__name__)

# Retries are used up after this many failures while other entries were stored, over this time.
_MAX_FAILURES = 5
_MIN_FAILING_TIME = 60.0  # seconds


@dataclass
class _Failure:
    """An entry that failed on its own; `count` is how often while others were stored.

    Times are of the event loop's clock: `since` is when it was first counted.
    """

    last: float
    since: float
    count: int = 0

    def add(self, now: float, others_stored_at: float) -> None:
        if others_stored_at > self.last:
            self.count += 1
        if not self.count:
            self.since = now
        self.last = now

    @property
    def is_final(self) -> bool:
        """Whether its retries are used up."""
        return self.count >= _MAX_FAILURES and self.last - self.since >= _MIN_FAILING_TIME


class Quarantine:
    """Finds the events that PostgreSQL refuses though it stores others, and gives up on them.

    An entry that failed, and failed again after others were stored, is quarantined, so that it
    doesn't block the others. When its retries are used up it is split, down to single events, which
    become dead letters.
    """

    def __init__(self, spool: Spool, store: Store) -> None:
        self._spool = spool
        self._store = store
        self._failures: dict[int, _Failure] = {}

    @property
    def failed(self) -> Collection[int]:
        """The ids of all entries that have failed on their own."""
        return self._failures.keys()

    @property
    def quarantined(self) -> Collection[int]:
        """The ids of the quarantined entries."""
        return {entry_id for entry_id, failure in self._failures.items() if failure.count}

    def next(self) -> int:
        """The id of the quarantined entry that has waited longest for a retry."""
        return min(self.quarantined, key=lambda entry_id: self._failures[entry_id].last)

    def forget(self, ids: Iterable[int]) -> None:
        """To be called when the entries have been stored, or are gone."""
        for entry_id in ids:
            self._failures.pop(entry_id, None)

    async def record_failure(self, entries: Entries, error: Exception) -> None:
        """Records the failure of a single entry; splits the entry if its retries are used up."""
        (entry_id,), (payload,) = entries.ids, entries.payloads
        now = asyncio.get_running_loop().time()
        failure = self._failures.setdefault(entry_id, _Failure(last=now, since=now))
        failure.add(now, self._store.committed_at)
        if failure.is_final and payload.events and not _may_be_blocked(payload, error):
            await self._split(entries, payload, str(error))

    async def _split(self, entry: Entries, payload: Payload, reason: str) -> None:
        """Replaces the entry by its halves and its dead letters; a lone event becomes one."""
        events, rejected = payload.events, payload.rejected
        middle = len(events) // 2
        halves = [Payload(half, []) for half in (events[:middle], events[middle:])]
        if not middle:
            logger.error("Event %s can't be stored: %s", events[0].id, reason)
            halves = []
            event = events[0]
            letter = Rejected(
                index=0,
                path="",
                reason=reason,
                raw=as_json(event),
                received_at=event.received_at,
                source=event.source,
            )
            rejected = [letter, *rejected]
        letters = [
            msgspec.structs.replace(item, index=index) for index, item in enumerate(rejected)
        ]
        ids = await self._spool.replace(
            entry, [*halves, *([Payload([], letters)] if letters else [])]
        )
        failure = self._failures.pop(entry.ids[0])
        for half_id in ids[: len(halves)]:
            self._failures[half_id] = _Failure(failure.last, failure.since, failure.count)


def _may_be_blocked(payload: Payload, error: Exception) -> bool:
    """A lone event that times out may be blocked by a lock: it is retried without end."""
    return len(payload.events) == 1 and isinstance(error.__cause__, TimeoutError)
