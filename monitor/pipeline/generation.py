"""Proves that cached ids still name the same rows: that the database did not go back in time.

A restored dump, a standby promoted without the last commits or a recovery to an earlier time issue
ids anew, perhaps while connections stay open. So each batch adds one to the replica's count in the
ledger. A count below that of the batches known to be committed shows that some were lost, and with
them perhaps rows whose ids are cached.
"""

import uuid

import asyncpg


class IdsOutdated(Exception):
    """The database went back in time since ids were cached: they may name other rows."""


class Generation:
    """The life of a cache of ids. `committed` are the batches known to be stored in it."""

    __slots__ = ("committed", "id")

    def __init__(self) -> None:
        self.id = uuid.uuid4()
        self.committed = 0

    async def count(self, connection: asyncpg.Connection, replica: uuid.UUID) -> None:
        """Counts names that were cached without a batch being stored.

        Raises IdsOutdated.
        """
        if await connection.fetchval(_COUNT, replica, self.id) <= self.committed:
            raise IdsOutdated
        self.committed += 1

    async def check(self, connection: asyncpg.Connection, replica: uuid.UUID) -> None:
        """Checks the ids in a transaction that has counted its batch. Raises IdsOutdated."""
        if (await connection.fetchval(_SELECT, replica, self.id) or 0) <= self.committed:
            raise IdsOutdated


_COUNT = """
    INSERT INTO ledger AS l (replica, generation, batches) VALUES ($1, $2, 1)
    ON CONFLICT (replica) DO UPDATE SET
        batches = CASE WHEN l.generation = $2 THEN l.batches ELSE 0 END + 1, generation = $2
    RETURNING batches
"""

_SELECT = "SELECT batches FROM ledger WHERE replica = $1 AND generation = $2"
