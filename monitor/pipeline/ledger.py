"""The ledger: what has become of everything that was received."""

import uuid

import asyncpg
import msgspec

from monitor.pipeline.queue import EventQueue, Receipt
from monitor.pipeline.spool.entries import Spool


class Counts(msgspec.Struct):
    """received = stored + duplicates + rejected + spooled + pending, each in items."""

    received: int
    stored: int
    duplicates: int
    rejected: int
    spooled: int
    pending: int


class Ledger:
    """The account of this process, and the sum of all replicas'.

    What the spool held when the process started counts as received by it.
    """

    def __init__(self, queue: EventQueue, spool: Spool) -> None:
        self._queue = queue
        self._spool = spool
        self._taken_over = spool.events
        self._stored = self._duplicates = self._rejected = 0

    def add(self, receipt: Receipt) -> None:
        self._stored += receipt.stored
        self._duplicates += receipt.duplicates
        self._rejected += len(receipt.rejected)

    def account(self) -> Counts:
        return Counts(
            self._taken_over + self._queue.received,
            self._stored,
            self._duplicates,
            self._rejected,
            self._spool.events,
            self._queue.events,
        )

    async def report(self, pool: asyncpg.Pool) -> None:
        """Tells the other replicas what is spooled and pending here."""
        await pool.execute(_REPORT, self._spool.replica, self._spool.events, self._queue.events)


async def total(
    connection: asyncpg.Connection, replica: uuid.UUID, own: Counts, patience: float
) -> Counts:
    """The account of all replicas since the first; what is spooled and pending here is `own`'s.

    Of the others that is some seconds old. What is pending in a replica that is gone was never
    acknowledged; what is in its spool waits for its return.
    """
    row = await connection.fetchrow(_TOTAL, replica, timeout=patience)
    stored, duplicates, rejected, spooled, pending = row
    spooled, pending = spooled + own.spooled, pending + own.pending
    received = stored + duplicates + rejected + spooled + pending
    return Counts(received, stored, duplicates, rejected, spooled, pending)


_REPORT = """
    INSERT INTO ledger (replica, spooled, pending) VALUES ($1, $2, $3)
    ON CONFLICT (replica) DO UPDATE SET
        spooled = EXCLUDED.spooled, pending = EXCLUDED.pending, seen_at = now()
"""

_TOTAL = """
    SELECT COALESCE(sum(stored), 0)::bigint, COALESCE(sum(duplicates), 0)::bigint,
        COALESCE(sum(rejected), 0)::bigint,
        COALESCE(sum(spooled) FILTER (WHERE replica <> $1), 0)::bigint,
        COALESCE(sum(pending) FILTER (
            WHERE replica <> $1 AND seen_at > now() - interval '15 seconds'), 0)::bigint
    FROM ledger
"""
