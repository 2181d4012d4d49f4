"""`/test/events`: where an end-to-end test looks what a client has posted."""

from typing import Annotated

import msgspec

from monitor.database.pool import Database
from monitor.errors import NotFound, TooLarge
from monitor.http.operations import Api
from monitor.lms import e2e_events as test_events
from monitor.lms.e2e_events import RecordedEvents, RecordedTests

TestId = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Events = Annotated[list[dict[str, msgspec.Raw]], msgspec.Meta(max_length=1_000)]


class Message(msgspec.Struct):
    """What was done."""

    message: str


def declare(api: Api, database: Database) -> None:
    @api.operation("POST", "/test/events/{test_id}", raises=(TooLarge,))
    async def post_test_events(test_id: TestId, body: Events) -> Message:
        """Keeps events of any kind for a test, for ten minutes."""
        async with database.transaction() as connection:
            await test_events.add(connection, test_id, body)
        return Message(f"{len(body)} events stored for the test {test_id}")

    @api.operation("GET", "/test/events/{test_id}")
    async def get_test_events(test_id: TestId) -> RecordedEvents:
        """A test's events, each with the time of its receipt."""
        async with database.transaction() as connection:
            return await test_events.get(connection, test_id)

    @api.operation("DELETE", "/test/events/{test_id}", raises=(NotFound,))
    async def delete_test_events(test_id: TestId) -> Message:
        """Deletes a test's events."""
        async with database.transaction() as connection:
            deleted = await test_events.delete(connection, test_id)
        return Message(f"{deleted} events of the test {test_id} deleted")

    @api.operation("GET", "/test/events")
    async def list_tests() -> RecordedTests:
        """The tests that have events."""
        async with database.transaction() as connection:
            return await test_events.list_tests(connection)
