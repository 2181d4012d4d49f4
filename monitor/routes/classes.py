"""`/classes`."""

from monitor.auth.principal import Principal
from monitor.database.pool import Connection
from monitor.database.resource import InUse, values
from monitor.http.operations import Api
from monitor.http.resources import Docs, ResourceCalls
from monitor.lms.classes import CLASSES, ClassCreate, ClassFilter, ClassResponse, ClassUpdate
from monitor.lms.enrolment import appoint


def declare(api: Api) -> None:
    ResourceCalls(
        rows=CLASSES,
        plural="classes",
        create=ClassCreate,
        update=ClassUpdate,
        query=ClassFilter,
        docs=Docs(
            create="Makes a class. An instructor who does is on its roster as its teacher.",
            delete="Deletes a class and its roster, unless it has assignments.",
        ),
        insert=_create,
        create_raises=(InUse,),
        update_raises=(InUse,),
    ).declare(api)


async def _create(connection: Connection, body: ClassCreate, caller: Principal) -> ClassResponse:
    created = await CLASSES.insert(connection, values(body))
    if caller.role == "instructor":
        await appoint(connection, created.id, caller.name)
    return created
