"""Teachers say that they are in a class, and which part of it is theirs."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial

from msgspec import UNSET

from monitor.database.paging import Id
from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.http.operations import Api
from monitor.http.transactions import AfterCommit, Transactions
from monitor.live.history import Publication
from monitor.lms import duties
from monitor.lms.duties import Duties, DutyUpdate


def declare(api: Api, publish: Callable[[Iterable[Publication]], None]) -> None:
    """`publish` sends messages to subscribers."""

    @api.operation("GET", "/classes/{class_id}/duties", raises=(NotFound,))
    async def get_duties(connection: Connection, class_id: Id) -> Duties:
        """The teachers who are in a class now, with the part that each looks after."""
        return await duties.duties(connection, class_id)

    @api.operation("PUT", "/classes/{class_id}/duties", raises=(NotFound,))
    async def put_duty(
        transactions: Transactions, after_commit: AfterCommit, class_id: Id, body: DutyUpdate
    ) -> Duties:
        """Says that a teacher is in the class, for 90 s; the class is notified of changes."""
        # Pages say it every 30 s. Only what a teacher takes on belongs in the audit log.
        takes_part = body.seat_rows is not UNSET or body.teams is not UNSET
        async with transactions.begin(audited=takes_part) as connection:
            outcome = await duties.update(connection, class_id, body)
        if outcome.has_changed:
            channels = [f"class:{class_id}"]
            message = Publication("duties", channels, datetime.now(UTC), outcome.duties)
            after_commit(partial(publish, [message]))
        return outcome.duties
