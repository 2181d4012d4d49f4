"""Dead letters: what could not be stored, handled or written, kept for an operator to replay."""

import hashlib
import uuid
from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec

from monitor.database import PASSING_ERRORS, cut_at, unavailable
from monitor.events import Rejected


class DeadLetter(msgspec.Struct):
    """A row of `rejected_events`. `raw` is an item as JSON, or a point in line protocol."""

    id: int
    received_at: datetime
    source: str
    path: str
    reason: str
    raw: str


class DeadLetters:
    """The table `rejected_events`; `replica` names the line of the ledger."""

    def __init__(self, pool: asyncpg.Pool, replica: uuid.UUID) -> None:
        self._pool = pool
        self._replica = replica

    async def add(self, source: str, rejected: Sequence[Rejected], deadline: float) -> None:
        """Commits dead letters; one that is known already is not added again.

        Raises Unavailable when PostgreSQL can't do it now or, by the event loop's clock, not until
        `deadline`.
        """
        rows = [(_digest(item), item.path, item.reason, item.raw) for item in rejected]
        counted = len(rows) if source == "ingest" else 0
        try:
            async with cut_at(self._pool, deadline) as connection:
                await connection.execute(
                    _INSERT, source, *map(list, zip(*rows, strict=True)), self._replica, counted
                )
        except PASSING_ERRORS as error:
            raise unavailable(error) from error

    async def page(
        self, source: str | None, before: int | None, limit: int
    ) -> tuple[list[DeadLetter], int]:
        """The latest letters first, those of one source or of all; and how many there are."""
        rows = await self._pool.fetch(_SELECT_PAGE, source, before, limit)
        total = await self._pool.fetchval(_COUNT, source)
        return [DeadLetter(*row) for row in rows], total

    async def get(self, letter: int) -> DeadLetter | None:
        row = await self._pool.fetchrow(_SELECT_ONE, letter)
        return DeadLetter(*row) if row else None

    async def delete(self, letter: int) -> DeadLetter | None:
        row = await self._pool.fetchrow(_DELETE, letter)
        return DeadLetter(*row) if row else None


def _digest(item: Rejected) -> bytes:
    return hashlib.sha256(f"{item.reason}\n{item.raw}".encode()).digest()


_INSERT = """
    WITH counted AS (
        INSERT INTO ledger AS l (replica, rejected) VALUES ($6, $7)
        ON CONFLICT (replica) DO UPDATE SET rejected = l.rejected + EXCLUDED.rejected
    )
    INSERT INTO rejected_events (digest, source, path, reason, raw)
    SELECT digest, $1, path, reason, raw
    FROM unnest($2::bytea[], $3::text[], $4::text[], $5::text[]) AS r (digest, path, reason, raw)
    ORDER BY digest  -- in an order that all writers share
    ON CONFLICT (digest) DO NOTHING
"""

_SELECT_PAGE = """
    SELECT id, received_at, source, path, reason, raw FROM rejected_events
    WHERE ($1::text IS NULL OR source = $1) AND ($2::bigint IS NULL OR id < $2)
    ORDER BY id DESC LIMIT $3
"""

_COUNT = "SELECT count(*) FROM rejected_events WHERE $1::text IS NULL OR source = $1"

_SELECT_ONE = """
    SELECT id, received_at, source, path, reason, raw FROM rejected_events WHERE id = $1
"""

_DELETE = """
    DELETE FROM rejected_events WHERE id = $1
    RETURNING id, received_at, source, path, reason, raw
"""
