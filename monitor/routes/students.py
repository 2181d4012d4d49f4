"""`/students`."""

from monitor.auth.principal import Principal
from monitor.database.pool import Connection
from monitor.database.resource import InUse
from monitor.http.operations import Api
from monitor.http.resources import Docs, ResourceCalls
from monitor.lms import students
from monitor.lms.students import (
    STUDENTS,
    StudentCreate,
    StudentFilter,
    StudentResponse,
    StudentUpdate,
)


def declare(api: Api) -> None:
    ResourceCalls(
        rows=STUDENTS,
        plural="students",
        create=StudentCreate,
        update=StudentUpdate,
        query=StudentFilter,
        docs=Docs(
            create="Makes a student.",
            delete="Deletes a student who has neither events nor submissions.",
        ),
        insert=_create,
        change=students.update,
        create_raises=(InUse,),
    ).declare(api)


async def _create(
    connection: Connection, body: StudentCreate, caller: Principal
) -> StudentResponse:
    return await students.create(connection, body)
