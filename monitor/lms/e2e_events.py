"""Events of end-to-end tests: kept ten minutes, then gone by themselves."""

import asyncpg
import msgspec

from monitor.errors import NotFound, TooLarge

MAX_EVENTS = 10_000  # of one test
MAX_BYTES = 64 * 1024 * 1024  # of all tests


class KeptEvents(msgspec.Struct):
    """What was posted for a test, each with the time of its receipt."""

    test_id: str
    events: list[dict[str, msgspec.Raw]]
    count: int


class KeptTests(msgspec.Struct):
    """The tests that have events."""

    test_ids: list[str]
    count: int


async def add(
    connection: asyncpg.Connection, test_id: str, events: list[dict[str, msgspec.Raw]]
) -> None:
    """Raises TooLarge when there are too many with those that are there already."""
    await connection.execute(_FORGET)
    texts = [msgspec.json.encode(event).decode() for event in events]
    await connection.execute(_INSERT, test_id, texts)
    count, size = await connection.fetchrow(_SELECT_SIZES, test_id)
    if count > MAX_EVENTS:
        raise TooLarge(f"More events than one test may have, {MAX_EVENTS}: delete some")
    if size > MAX_BYTES:
        raise TooLarge(f"All tests' events are larger than the limit, {MAX_BYTES} bytes")


async def get(connection: asyncpg.Connection, test_id: str) -> KeptEvents:
    """In the order of their receipt; of an unknown test none."""
    rows = await connection.fetch(_SELECT, test_id)
    events = [
        {
            **_OBJECT.decode(row["event"]),
            "received_at": msgspec.Raw(msgspec.json.encode(row["received_at"])),
        }
        for row in rows
    ]
    return KeptEvents(test_id, events, len(events))


async def delete(connection: asyncpg.Connection, test_id: str) -> int:
    """How many there were. Raises NotFound."""
    deleted: int = await connection.fetchval(_DELETE, test_id)
    if not deleted:
        raise NotFound(f"There are no events of the test {test_id}")
    return deleted


async def ids(connection: asyncpg.Connection) -> KeptTests:
    found = [row["test_id"] for row in await connection.fetch(_SELECT_IDS)]
    return KeptTests(found, len(found))


_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])

_FORGET = """
    DELETE FROM test_events WHERE id IN (
        SELECT id FROM test_events WHERE received_at < now() - interval '10 minutes'
        FOR UPDATE SKIP LOCKED  -- another replica is at it
    )
"""

_INSERT = "INSERT INTO test_events (test_id, event) SELECT $1, unnest($2::text[])"

_SELECT_SIZES = """
    SELECT count(*) FILTER (WHERE test_id = $1), COALESCE(sum(octet_length(event)), 0)
    FROM test_events
"""

_SELECT = """
    SELECT event, received_at FROM test_events
    WHERE test_id = $1 AND received_at >= now() - interval '10 minutes' ORDER BY id
"""

_DELETE = """
    WITH deleted AS (DELETE FROM test_events WHERE test_id = $1 RETURNING received_at)
    SELECT count(*) FROM deleted WHERE received_at >= now() - interval '10 minutes'
"""

_SELECT_IDS = """
    SELECT DISTINCT test_id FROM test_events
    WHERE received_at >= now() - interval '10 minutes' ORDER BY test_id
"""
