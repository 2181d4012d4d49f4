"""Dead letters: items that failed for good, kept for an operator to look at and replay."""

import hashlib
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, NamedTuple

import asyncpg
import msgspec

from monitor.database.errors import DATABASE_ERRORS, to_unavailable
from monitor.database.paging import Id, Limit, Listing
from monitor.database.pool import cut_at
from monitor.database.resource import Condition
from monitor.errors import NotFound
from monitor.events.event import NO_SOURCE, Rejected, Source

_SOURCE = msgspec.msgpack.Decoder(Source)  # JSON has no infinity


class DeadLetter(msgspec.Struct):
    """A row of `rejected_events`.

    `source` is the stage that rejected it (`ingest`, `handler` or `influxdb`), or `withdrawn`: it
    was stored, and received at `received_at`. `path` is the offending field (empty: the whole item)
    or the handler, by its module and name, and `raw` the item as JSON, or a point in line protocol.
    `credential` sent it, such as `key 7`; `class_id` is the class of the event, or of the key.
    """

    id: int
    received_at: datetime
    source: str
    path: str
    reason: str
    raw: str
    class_id: int | None
    credential: str | None


class KeptLetter(NamedTuple):
    """A dead letter, and who sent its item."""

    letter: DeadLetter
    sent_by: Source


class DeadLetters:
    """Writes to the table `rejected_events`; `replica` is this replica's row in the ledger."""

    def __init__(self, pool: asyncpg.Pool, replica: uuid.UUID) -> None:
        self._pool = pool
        self._replica = replica

    async def add(self, source: str, rejected: Sequence[Rejected], deadline: float) -> None:
        """Commits dead letters, each of them once.

        Those of the source `ingest` are counted in the ledger, unless this receipt was already
        counted. `deadline` is a time of the event loop's clock. Raises Unavailable when PostgreSQL
        can't do it now, or not by then.
        """
        try:
            async with cut_at(self._pool, deadline) as connection:
                await self.insert(connection, source, rejected)
        except DATABASE_ERRORS as error:
            raise to_unavailable(error) from error

    async def insert(
        self, connection: asyncpg.Connection, source: str, rejected: Sequence[Rejected]
    ) -> None:
        """As `add`, but in the connection's transaction. Raises DATABASE_ERRORS."""
        now = datetime.now(UTC)
        rows = [
            (
                _digest(source, item),
                item.path,
                item.reason,
                item.raw,
                item.received_at or now,
                _class_of(item.source),
                item.source.credential,
                msgspec.msgpack.encode(item.source),
            )
            for item in rejected
        ]
        await connection.execute(
            _INSERT, source, *map(list, zip(*rows, strict=True)), self._replica
        )


class DeadLetterFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Filters dead letters; `before` is the id of the last one on the page before."""

    source: (
        Annotated[
            Literal["ingest", "handler", "influxdb", "withdrawn"],
            msgspec.Meta(description="The stage that rejected it, or `withdrawn`"),
        ]
        | None
    ) = None
    class_id: Id | None = None
    before: Id | None = None
    limit: Limit = 100


async def page(
    connection: asyncpg.Connection, wanted: DeadLetterFilter, condition: Condition
) -> Listing[DeadLetter]:
    """The latest dead letters that meet the condition, newest first."""
    where = condition.sql.format("$3")
    arguments = (wanted.source, wanted.class_id, condition.argument)
    rows = await connection.fetch(
        _SELECT_PAGE.format(condition=where), *arguments, wanted.before, wanted.limit
    )
    total = await connection.fetchval(_COUNT.format(condition=where), *arguments)
    return Listing([DeadLetter(**row) for row in rows], total)


async def get(connection: asyncpg.Connection, letter_id: int) -> KeptLetter:
    """Raises NotFound."""
    row = await connection.fetchrow(_SELECT_ONE, letter_id)
    sent_by = row["sent_by"] if row else None
    return KeptLetter(_letter(row, letter_id), _SOURCE.decode(sent_by) if sent_by else NO_SOURCE)


async def remove(connection: asyncpg.Connection, letter_id: int) -> DeadLetter:
    """Deletes a dead letter; another transaction that removes it waits, and then finds none.

    Raises NotFound.
    """
    return _letter(await connection.fetchrow(_DELETE, letter_id), letter_id)


def _letter(row: asyncpg.Record | None, letter_id: int) -> DeadLetter:
    if row is None:
        raise NotFound(f"There is no rejected event {letter_id}")
    return DeadLetter(**{name: row[name] for name in DeadLetter.__struct_fields__})


def _class_of(source: Source) -> int | None:
    """The class whose staff see the letter: events with a student's token may be of any class."""
    is_token = source.credential is not None and source.credential.startswith("token ")
    return None if is_token else source.class_id


def _digest(source: str, item: Rejected) -> bytes:
    failed = f"{item.path}\n" if source == "handler" else ""  # an event may have several handlers
    return hashlib.sha256(f"{failed}{item.reason}\n{item.raw}".encode()).digest()


_INSERT = """
    WITH letters AS (
        SELECT digest, min(path) AS path, min(reason) AS reason, min(raw) AS raw,
            max(last_at) AS last_at, min(class_id) AS class_id,
            min(credential) AS credential, (array_agg(sent_by))[1] AS sent_by, count(*) AS times
        FROM unnest(
            $2::bytea[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::bigint[],
            $8::text[], $9::bytea[]
        ) AS r (digest, path, reason, raw, last_at, class_id, credential, sent_by)
        GROUP BY digest
    ),
    counted AS (  -- new ones, and new receipts of known ones
        INSERT INTO rejected_events AS r (
            digest, source, path, reason, raw, last_at, class_id, credential, sent_by)
        SELECT digest, $1, path, reason, raw, last_at, class_id, credential, sent_by FROM letters
        ORDER BY digest  -- one order for all writers: no deadlock
        ON CONFLICT (digest) DO UPDATE SET last_at = EXCLUDED.last_at
            WHERE r.last_at <> EXCLUDED.last_at
        RETURNING digest
    )
    INSERT INTO ledger AS l (replica, rejected)
    SELECT $10::uuid, sum(times)::bigint FROM counted JOIN letters USING (digest)
    WHERE $1 = 'ingest' HAVING count(*) > 0
    ON CONFLICT (replica) DO UPDATE SET rejected = l.rejected + EXCLUDED.rejected
"""

_SELECT_PAGE = """
    SELECT id, received_at, source, path, reason, raw, class_id, credential FROM rejected_events
    WHERE ($1::text IS NULL OR source = $1) AND ($2::bigint IS NULL OR class_id = $2)
        AND {condition} AND ($4::bigint IS NULL OR id < $4)
    ORDER BY id DESC LIMIT $5
"""

_COUNT = """
    SELECT count(*) FROM rejected_events
    WHERE ($1::text IS NULL OR source = $1) AND ($2::bigint IS NULL OR class_id = $2)
        AND {condition}
"""

_SELECT_ONE = "SELECT * FROM rejected_events WHERE id = $1"

_DELETE = "DELETE FROM rejected_events WHERE id = $1 RETURNING *"
