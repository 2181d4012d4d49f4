"""Events posted by clients' end-to-end tests; they expire after ten minutes."""

import asyncpg
import msgspec

from monitor.errors import NotFound, TooLarge

MAX_EVENTS = 10_000  # per test
MAX_BYTES = 64 * 1024 * 1024  # of all tests together


class RecordedEvents(msgspec.Struct):
    """The events posted for a test, each with the time of its receipt (`received_at`)."""

    test_id: str
    events: list[dict[str, msgspec.Raw]]
    count: int


class RecordedTests(msgspec.Struct):
    """The ids of the tests that have events."""

    test_ids: list[str]
    count: int


async def add(
    connection: asyncpg.Connection, test_id: str, events: list[dict[str, msgspec.Raw]]
) -> None:
    """Raises TooLarge if the test has too many events, or all tests too many bytes, with these."""
    await connection.execute(_DELETE_EXPIRED)
    texts = [msgspec.json.encode(event).decode() for event in events]
    await connection.execute(_INSERT, test_id, texts)
    stored = await connection.fetchrow(_SELECT_SIZES, test_id)
    if stored["count"] > MAX_EVENTS:
        raise TooLarge(
            f"More events than one test may have, {MAX_EVENTS}: delete the test's events"
        )
    if stored["bytes"] > MAX_BYTES:
        raise TooLarge(f"The events of all tests are larger than {MAX_BYTES} bytes: delete some")


async def get(connection: asyncpg.Connection, test_id: str) -> RecordedEvents:
    """In the order of receipt; none if the test is unknown."""
    rows = await connection.fetch(_SELECT, test_id)
    events = [
        {
            **_OBJECT.decode(row["event"]),
            "received_at": msgspec.Raw(msgspec.json.encode(row["received_at"])),
        }
        for row in rows
    ]
    return RecordedEvents(test_id, events, len(events))


async def delete(connection: asyncpg.Connection, test_id: str) -> int:
    """Returns how many there were. Raises NotFound."""
    deleted: int = await connection.fetchval(_DELETE, test_id)
    if not deleted:
        raise NotFound(f"The test {test_id} has no events")
    return deleted


async def list_tests(connection: asyncpg.Connection) -> RecordedTests:
    """In the order of their ids."""
    test_ids = [row["test_id"] for row in await connection.fetch(_SELECT_IDS)]
    return RecordedTests(test_ids, len(test_ids))


_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])

_DELETE_EXPIRED = """
    DELETE FROM test_events WHERE id IN (
        SELECT id FROM test_events WHERE received_at < now() - interval '10 minutes'
        FOR UPDATE SKIP LOCKED  -- another replica is deleting them
    )
"""

_INSERT = "INSERT INTO test_events (test_id, event) SELECT $1, unnest($2::text[])"

_SELECT_SIZES = """
    SELECT count(*) FILTER (WHERE test_id = $1) AS count,
        COALESCE(sum(octet_length(event)), 0) AS bytes
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
