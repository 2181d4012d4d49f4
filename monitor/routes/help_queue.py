"""The help queue: teachers see open help requests, take them and resolve them."""

from collections.abc import Callable, Iterable
from functools import partial

from monitor.database.paging import Id, Listing
from monitor.database.pool import Connection
from monitor.errors import Conflict, NotFound
from monitor.http.operations import Api
from monitor.http.snapshots import Snapshots
from monitor.http.transactions import AfterCommit
from monitor.insight.help_queue import HelpQuery, HelpRequest, help_queue
from monitor.insight.query import shown_classes
from monitor.live.history import Publication
from monitor.lms.help_requests import HelpAction, HelpChange, HelpOutcome, act, undo


def declare(api: Api, publish: Callable[[Iterable[Publication]], None], *, is_open: bool) -> None:
    """`publish` sends messages to subscribers. `is_open`: the server needs no credentials."""
    shown = partial(shown_classes, is_open=is_open)

    @api.operation("GET", "/classes/{class_id}/help", raises=(NotFound,))
    async def get_help(
        snapshots: Snapshots, class_id: Id, query: HelpQuery
    ) -> Listing[HelpRequest]:
        """A class's open help requests: those nobody has taken first, then the oldest first."""
        # A teacher who has just taken a request has to see that they have.
        read = partial(help_queue, class_ids=shown(class_id), query=query)
        return await snapshots.read(read, current=True)

    path = "/classes/{class_id}/help/{student_id}"

    @api.operation("POST", f"{path}/take", raises=(NotFound, Conflict))
    async def take_help(
        connection: Connection,
        after_commit: AfterCommit,
        class_id: Id,
        student_id: Id,
        body: HelpAction,
    ) -> HelpChange:
        """Takes a student's request; the class is notified (`help_request`)."""
        outcome = await act(connection, shown(class_id), student_id, "take", body.name)
        return _announce(outcome, after_commit)

    @api.operation("POST", f"{path}/resolve", raises=(NotFound, Conflict))
    async def resolve_help(
        connection: Connection,
        after_commit: AfterCommit,
        class_id: Id,
        student_id: Id,
        body: HelpAction,
    ) -> HelpChange:
        """Resolves a student's request. Heartbeats that go on are no new one."""
        outcome = await act(connection, shown(class_id), student_id, "resolve", body.name)
        return _announce(outcome, after_commit)

    @api.operation("POST", f"{path}/return", raises=(NotFound, Conflict))
    async def return_help(
        connection: Connection,
        after_commit: AfterCommit,
        class_id: Id,
        student_id: Id,
        body: HelpAction,
    ) -> HelpChange:
        """Puts a request that is taken back into the queue, at its place by the wait."""
        outcome = await act(connection, shown(class_id), student_id, "return", body.name)
        return _announce(outcome, after_commit)

    @api.operation("POST", f"{path}/undo", raises=(NotFound, Conflict))
    async def undo_help(
        connection: Connection,
        after_commit: AfterCommit,
        class_id: Id,
        student_id: Id,
        body: HelpAction,
    ) -> HelpChange:
        """Undoes what this teacher did last to a student's request, in the past 15 seconds."""
        outcome = await undo(connection, shown(class_id), student_id, body.name)
        return _announce(outcome, after_commit)

    def _announce(outcome: HelpOutcome, after_commit: AfterCommit) -> HelpChange:
        channels = [f"class:{class_id}" for class_id in outcome.class_ids]
        message = Publication("help_request", channels, outcome.change.at, outcome.change)
        after_commit(partial(publish, [message]))
        return outcome.change
