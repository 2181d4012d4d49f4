"""The ledger: counts every item received by its outcome."""

import uuid

import asyncpg
import msgspec

from monitor.health import Counts
from monitor.pipeline.queue import EventQueue, Receipt
from monitor.pipeline.spool.entries import Spool


class Ledger:
    """This process's counts. Items in the spool at its start count as received by it.

    `rejected_by_policy` are those of the rejected items that were valid.
    """

    def __init__(self, queue: EventQueue, spool: Spool) -> None:
        self._queue = queue
        self._spool = spool
        self._stored = self._duplicates = self._rejected = 0
        self.rejected_by_policy = 0

    def add(self, receipt: Receipt) -> None:
        """Counts a request's items, except `spooled`, which the spool counts."""
        self._stored += receipt.stored
        self._duplicates += receipt.duplicates
        if receipt.rejected:
            self._rejected += len(receipt.rejected)
            self.rejected_by_policy += sum(item.by_policy for item in receipt.rejected)

    def counts(self) -> Counts:
        """The counts of this process, in items."""
        return Counts(
            received=self._spool.inherited + self._queue.received,
            stored=self._stored,
            duplicates=self._duplicates,
            rejected=self._rejected,
            spooled=self._spool.events,
            pending=self._queue.events,
        )

    async def report(self, pool: asyncpg.Pool) -> None:
        """Publishes what is spooled and pending here, for the other replicas' totals."""
        await pool.execute(_REPORT, self._spool.replica, self._spool.events, self._queue.events)


async def total(
    connection: asyncpg.Connection, replica: uuid.UUID, own: Counts, timeout: float
) -> Counts:
    """The counts of all replicas ever; `spooled` and `pending` of this one are `own`'s.

    Other replicas' numbers lag a few seconds. Items pending in a dead replica were never
    acknowledged; those in its spool wait for its return. `timeout` is in seconds.
    """
    row = await connection.fetchrow(_TOTAL, replica, timeout=timeout)
    counts = Counts(received=0, **row)
    counts.spooled += own.spooled
    counts.pending += own.pending
    counts.received = sum(msgspec.structs.astuple(counts))
    return counts


_REPORT = """
    INSERT INTO ledger (replica, spooled, pending) VALUES ($1, $2, $3)
    ON CONFLICT (replica) DO UPDATE SET
        spooled = EXCLUDED.spooled, pending = EXCLUDED.pending,
        seen_at = EXCLUDED.seen_at
"""

_TOTAL = """
    SELECT COALESCE(sum(stored), 0)::bigint AS stored,
        COALESCE(sum(duplicates), 0)::bigint AS duplicates,
        COALESCE(sum(rejected), 0)::bigint AS rejected,
        COALESCE(sum(withdrawn), 0)::bigint AS withdrawn,
        COALESCE(sum(spooled) FILTER (WHERE replica <> $1), 0)::bigint AS spooled,
        COALESCE(sum(pending) FILTER (
            WHERE replica <> $1 AND seen_at > now() - interval '15 seconds'), 0)::bigint AS pending
    FROM ledger
"""
