"""Parcels of the spool that fail while others are stored, and what becomes of them."""

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from monitor.events.dialects import as_json
from monitor.events.event import Payload, Rejected
from monitor.pipeline.spool.entries import Chunk, Spool
from monitor.pipeline.store import Store

logger = logging.getLogger(__name__)

_TRIES = 5
_TRIAL = 60.0  # seconds


@dataclass
class _Trial:
    """A parcel that has failed by itself: when it did last, and how often since others passed."""

    failed_at: float
    since: float
    tries: int = 0


class Quarantine:
    """Finds the events that PostgreSQL won't take, though it takes others, and gives up on them.

    A parcel that failed, and again after others were stored, is set aside, so that it holds up
    nobody. When it has failed often enough it is halved; what is left of it in the end is a dead
    letter.
    """

    def __init__(self, spool: Spool, store: Store) -> None:
        self._spool = spool
        self._store = store
        self._trials: dict[int, _Trial] = {}

    @property
    def failed(self) -> Collection[int]:
        """The rows of all that has failed by itself."""
        return self._trials.keys()

    @property
    def aside(self) -> Collection[int]:
        """The rows of what is set aside."""
        return {row for row, trial in self._trials.items() if trial.tries}

    def next(self) -> int:
        """The row among those set aside that has waited longest."""
        return min(self.aside, key=lambda row: self._trials[row].failed_at)

    def stored(self, chunk: Chunk) -> None:
        for row in chunk.rows:
            self._trials.pop(row, None)

    async def blame(self, chunk: Chunk, error: Exception) -> None:
        """Notes that a single parcel has failed, and draws the consequences."""
        (row,), (parcel,) = chunk.rows, chunk.parcels
        now = asyncio.get_running_loop().time()
        trial = self._trials.setdefault(row, _Trial(now, now))
        if self._store.committed_at > trial.failed_at:
            trial.tries += 1
        if not trial.tries:
            trial.since = now
        trial.failed_at = now
        # One event that takes too long may wait for a lock, which somebody will let go of.
        hopeless = len(parcel.events) > 1 or not isinstance(error.__cause__, TimeoutError)
        if trial.tries >= _TRIES and now - trial.since >= _TRIAL and parcel.events and hopeless:
            await self._divide(row, parcel, str(error))

    async def _divide(self, row: int, parcel: Payload, reason: str) -> None:
        events, rejected = parcel.events, parcel.rejected
        middle = len(events) // 2
        halves = [Payload(half, []) for half in (events[:middle], events[middle:])]
        if not middle:
            logger.error("Event %s can't be stored: %s", events[0].id, reason)
            halves = []
            received_at = events[0].received_at
            rejected = [Rejected(0, "", reason, as_json(events[0]), received_at), *rejected]
        letters = [
            msgspec.structs.replace(item, index=index) for index, item in enumerate(rejected)
        ]
        rows = await self._spool.replace(
            row, [*halves, *([Payload([], letters)] if letters else [])]
        )
        trial = self._trials.pop(row)
        for half in rows[: len(halves)]:
            self._trials[half] = _Trial(trial.failed_at, trial.since, trial.tries)
