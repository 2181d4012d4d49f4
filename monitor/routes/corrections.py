"""Corrections of whose events they are: another class's, or another id of the same student."""

from collections.abc import Callable

from monitor.database.paging import Id
from monitor.database.pool import Connection
from monitor.database.resource import Invalid, Unknown
from monitor.errors import Conflict, NotFound
from monitor.http.operations import Api
from monitor.http.transactions import AfterCommit, Transactions
from monitor.lms import merging, reassigning
from monitor.lms.merging import Merged, MergeRequest
from monitor.lms.reassigning import Reassigned, Reassignment


def declare(api: Api, wake: Callable[[], None]) -> None:
    """`wake` is called when there is work for the job that moves rows."""

    @api.operation("POST", "/classes/{class_id}/assign", raises=(NotFound, Unknown, Invalid))
    async def assign_events(
        transactions: Transactions, class_id: Id, body: Reassignment
    ) -> Reassigned:
        """Moves what a student did in another class, or in none, to this class.

        By its receipt; instructors have to teach both classes. Counters and states of both follow.
        If it is interrupted, part has moved, and the same call moves the rest.
        """
        async with transactions.begin() as connection:
            move = await reassigning.check(connection, class_id, body)
        events = 0
        while True:
            async with transactions.begin(audited=False) as connection:
                moved = await reassigning.move_some(connection, move)
            if not moved:
                return Reassigned(move.student_id, class_id, body.from_class_id, events)
            events += moved

    @api.operation(
        "POST",
        "/students/{student_id}/merge",
        raises=(NotFound, Unknown, Invalid, Conflict),
    )
    async def merge_student(
        connection: Connection, after_commit: AfterCommit, student_id: Id, body: MergeRequest
    ) -> Merged:
        """Says that this id is another id of a student.

        Roster lines, submissions (their attempts numbered by time) and tokens move at once, events
        in the background; later events with this id are the other's, too. It can't be undone.
        """
        after_commit(wake)
        return await merging.merge(connection, student_id, body.into)
