"""Who joins a class with its key: who waits, what was refused, and who was heard in no class."""

from monitor.auth.principal import Principal
from monitor.database.paging import Id, Listing, Page
from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.http.operations import Api
from monitor.lms import heard, joining, refusals
from monitor.lms.heard import HeardStudent
from monitor.lms.joining import Decision, WaitingStudent
from monitor.lms.refusals import ClassRefusals


def declare(api: Api, is_open: bool) -> None:
    """`is_open` is whether the server has no credentials."""

    @api.operation("GET", "/classes/{class_id}/waiting", raises=(NotFound,))
    async def list_waiting(
        connection: Connection, class_id: Id, query: Page
    ) -> Listing[WaitingStudent]:
        """Who waits to be let into the class, the longest waiting first.

        What they do is stored with the class, but neither counted nor shown. After 30 days they are
        refused.
        """
        return await joining.list_waiting(connection, class_id, query)

    @api.operation("POST", "/classes/{class_id}/waiting/admit", raises=(NotFound,))
    async def admit_waiting(
        connection: Connection, class_id: Id, body: Decision
    ) -> list[WaitingStudent]:
        """Puts those who wait on the roster: what they did is counted and shown from now on."""
        return await joining.admit(connection, class_id, body)

    @api.operation("POST", "/classes/{class_id}/waiting/refuse", raises=(NotFound,))
    async def refuse_waiting(
        connection: Connection, class_id: Id, body: Decision, caller: Principal
    ) -> list[WaitingStudent]:
        """Refuses those who wait: the class's keys don't let them in again.

        What they did in the class is withdrawn.
        """
        return await joining.refuse(connection, class_id, body, caller.name)

    @api.operation("GET", "/classes/{class_id}/refusals", raises=(NotFound,))
    async def get_class_refusals(connection: Connection, class_id: Id) -> ClassRefusals:
        """What the class turned away in the last 30 days, and who of its roster was never heard."""
        return await refusals.of_class(connection, class_id, is_open)

    @api.operation("GET", "/heard")
    async def list_heard(
        connection: Connection, query: Page, caller: Principal
    ) -> Listing[HeardStudent]:
        """Students on no roster who posted in the last 7 days, the latest first.

        Enrol them with `POST /classes/{class_id}/students`. Instructors see those who posted with
        keys of their classes.
        """
        return await heard.list_heard(connection, query, caller)
