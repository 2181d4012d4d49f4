"""Transactional outboxes: work that is committed with the data it concerns, and done afterwards.

The transaction that stores a batch inserts rows; whichever replica comes first claims them, does
the work, and deletes them. A row is deleted by the transaction that claims it: if the work fails,
or the replica dies, that transaction rolls back, and the row can be claimed again.

So work HANDLERS (custom handlers to run), and outbox_counts (batches to count). The latter is
claimed in the SQL function count_batches(), because its work is SQL as well: nothing of it passes
through Python. POINTS (to write to InfluxDB, see `monitor.timeseries.outbox`) and those to delete
(outbox_deletions, see `monitor.timeseries.deletion`) are claimed by lease, so that no transaction
is open while InfluxDB works.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg


class Outbox:
    """A table of work with the primary key `id`; older rows have smaller ids."""

    def __init__(self, table: str) -> None:
        self._claim = _CLAIM.format(table=table)
        self._delete = _DELETE.format(table=table)

    @asynccontextmanager
    async def claim(
        self, connection: asyncpg.Connection, condition: str, *arguments: object, limit: int = 1
    ) -> AsyncIterator[list[asyncpg.Record]]:
        """Claims the oldest rows that match and that nobody else is working on, maybe none.

        `condition` is SQL from code only, with its `arguments` from $2 on. When the block ends,
        the rows are deleted and the work done on `connection` is committed; if it raises, neither
        happens.
        """
        async with connection.transaction():
            yield await connection.fetch(self._claim.format(condition=condition), limit, *arguments)

    async def delete(self, pool: asyncpg.Pool, ids: Sequence[int]) -> None:
        """Deletes rows without a claim: their work was done, or given up."""
        await pool.execute(self._delete, ids)


_CLAIM = """
    DELETE FROM {table} WHERE id = ANY(ARRAY(
        SELECT id FROM {table} WHERE {{condition}} ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
    )) RETURNING *
"""

_DELETE = "DELETE FROM {table} WHERE id = ANY($1::bigint[])"

POINTS = Outbox("outbox_points")
HANDLERS = Outbox("outbox_handlers")
