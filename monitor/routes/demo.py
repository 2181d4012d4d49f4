"""`/demos`: a class of simulated students."""

from collections.abc import Awaitable, Callable

from monitor.auth.principal import Principal
from monitor.database.paging import Id
from monitor.database.pool import Connection
from monitor.errors import Conflict, NotFound
from monitor.http.operations import Api
from monitor.http.transactions import AfterCommit
from monitor.lms import demo
from monitor.lms.demo import Demo, DemoCreate, RemovedDemo


def declare(api: Api, reload: Callable[[], Awaitable[None]]) -> None:
    """`reload` is called after a change of a key, so that it applies to this replica at once."""

    @api.operation("POST", "/demos", status=201, raises=(Conflict,))
    async def create_demo(
        connection: Connection, after_commit: AfterCommit, body: DemoCreate, caller: Principal
    ) -> Demo:
        """Makes a class of simulated students, marked as a demo, and a key to post their events."""
        after_commit(reload)
        return await demo.create(connection, body, caller.name)

    @api.operation("DELETE", "/demos/{class_id}", raises=(NotFound, Conflict))
    async def remove_demo(
        connection: Connection, after_commit: AfterCommit, class_id: Id
    ) -> RemovedDemo:
        """Deletes a demo's class, its students and their events.

        What others did in the class stays, and the class with it. Points in InfluxDB stay.
        """
        after_commit(reload)
        return await demo.remove(connection, class_id)
