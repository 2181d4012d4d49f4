"""The help queue: teachers see who asks for help, and who of them goes there."""

from collections.abc import Callable, Iterable

from monitor.database.paging import Id
from monitor.database.pool import Database
from monitor.errors import Conflict, NotFound
from monitor.http.operations import Api
from monitor.insight import help_queue
from monitor.insight.help_queue import HelpAction, HelpChange, HelpOutcome, HelpRequest
from monitor.live.history import Publication


def declare(api: Api, database: Database, publish: Callable[[Iterable[Publication]], None]) -> None:
    @api.operation("GET", "/classes/{class_id}/help", raises=(NotFound,))
    async def get_help(class_id: Id) -> list[HelpRequest]:
        """Who asks for help: first those nobody has taken yet, and then who waits longest."""
        async with database.transaction() as connection:
            return await help_queue.queue(connection, class_id)

    path = "/classes/{class_id}/help/{student_id}"

    @api.operation("POST", f"{path}/take", raises=(NotFound, Conflict))
    async def take_help(class_id: Id, student_id: Id, body: HelpAction) -> HelpChange:
        """Takes a student's request; others see by whom (`help_request`)."""
        async with database.transaction() as connection:
            outcome = await help_queue.take(connection, class_id, student_id, body.name)
        return _announced(outcome)

    @api.operation("POST", f"{path}/resolve", raises=(NotFound, Conflict))
    async def resolve_help(class_id: Id, student_id: Id, body: HelpAction) -> HelpChange:
        """Resolves a student's request: only a new call, after a `help_stop`, opens another."""
        async with database.transaction() as connection:
            outcome = await help_queue.resolve(connection, class_id, student_id, body.name)
        return _announced(outcome)

    def _announced(outcome: HelpOutcome) -> HelpChange:
        channels = [f"class:{class_id}" for class_id in outcome.classes]
        publish([Publication("help_request", channels, outcome.change.at, outcome.change)])
        return outcome.change
