"""`/students`."""

from monitor.database.resource import InUse
from monitor.http.operations import Api
from monitor.http.resources import Docs, ResourceCalls
from monitor.lms import students
from monitor.lms.students import (
    STUDENTS,
    StudentCreate,
    StudentFilter,
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
        find=students.find,
        get=students.get,
        change=students.update,
        create_raises=(InUse,),
    ).declare(api)
