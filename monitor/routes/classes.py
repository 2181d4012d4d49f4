"""`/classes`."""

from collections.abc import Awaitable, Callable

from monitor.auth.principal import Principal
from monitor.database.paging import Id
from monitor.database.pool import Connection
from monitor.database.resource import InUse, values
from monitor.errors import NotFound
from monitor.http.operations import Api
from monitor.http.resources import Docs, ResourceCalls
from monitor.lms import classes
from monitor.lms.classes import (
    CLASSES,
    ClassCopy,
    ClassCreate,
    ClassFilter,
    ClassResponse,
    ClassUpdate,
)
from monitor.lms.enrolment import appoint


def declare(api: Api, reload_keys: Callable[[], Awaitable[None]]) -> None:
    """`reload_keys` is called after a change that may end keys, to apply here at once."""
    ResourceCalls(
        rows=CLASSES,
        plural="classes",
        create=ClassCreate,
        update=ClassUpdate,
        query=ClassFilter,
        docs=Docs(
            create="Makes a class. An instructor who does is on its roster as its teacher.",
            delete="Deletes a class with its roster, unless it has assignments or events.",
        ),
        insert=_create,
        change=classes.update,
        remove=classes.delete,
        after_change=reload_keys,
        create_raises=(InUse,),
        update_raises=(InUse,),
    ).declare(api)

    @api.operation("POST", "/classes/{class_id}/copy", status=201, raises=(NotFound, InUse))
    async def copy_class(
        connection: Connection, class_id: Id, body: ClassCopy, caller: Principal
    ) -> ClassResponse:
        """Makes next term's class: with assignments, without their due dates, and no students.

        An instructor is on its roster as its teacher.
        """
        created = await classes.copy(connection, class_id, body)
        await _appoint(connection, created, caller)
        return created


async def _create(connection: Connection, body: ClassCreate, caller: Principal) -> ClassResponse:
    created = await CLASSES.insert(connection, values(body))
    await _appoint(connection, created, caller)
    return created


async def _appoint(connection: Connection, created: ClassResponse, caller: Principal) -> None:
    if caller.role == "instructor":
        await appoint(connection, created.id, caller.name)
