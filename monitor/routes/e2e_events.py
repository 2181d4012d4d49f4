"""`/test/events`: end-to-end tests look up here what a client has posted."""

from typing import Annotated

import msgspec

from monitor.database.pool import Connection
from monitor.errors import NotFound, TooLarge
from monitor.http.operations import Api
from monitor.lms import e2e_events
from monitor.lms.e2e_events import RecordedEvents, RecordedTests

TestId = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Events = Annotated[list[dict[str, msgspec.Raw]], msgspec.Meta(max_length=1_000)]


class Confirmation(msgspec.Struct):
    """Says what was done."""

    message: str


def declare(api: Api) -> None:
    @api.operation("POST", "/test/events/{test_id}", raises=(TooLarge,))
    async def post_test_events(
        connection: Connection, test_id: TestId, body: Events
    ) -> Confirmation:
        """Keeps events of any kind for a test, for ten minutes."""
        await e2e_events.add(connection, test_id, body)
        return Confirmation(f"{len(body)} events stored for the test {test_id}")

    @api.operation("GET", "/test/events/{test_id}")
    async def get_test_events(connection: Connection, test_id: TestId) -> RecordedEvents:
        """A test's events, each with the time of its receipt."""
        return await e2e_events.get(connection, test_id)

    @api.operation("DELETE", "/test/events/{test_id}", raises=(NotFound,))
    async def delete_test_events(connection: Connection, test_id: TestId) -> Confirmation:
        """Deletes a test's events."""
        deleted = await e2e_events.delete(connection, test_id)
        return Confirmation(f"{deleted} events of the test {test_id} deleted")

    @api.operation("GET", "/test/events")
    async def list_tests(connection: Connection) -> RecordedTests:
        """The tests that have events."""
        return await e2e_events.list_tests(connection)
