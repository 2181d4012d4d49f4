"""`/assignments`."""

from monitor.http.operations import Api
from monitor.http.resources import Docs, ResourceCalls
from monitor.lms import assignments
from monitor.lms.assignments import (
    ASSIGNMENTS,
    AssignmentFilter,
    ClassAssignmentCreate,
    ClassAssignmentUpdate,
)


def declare(api: Api) -> None:
    ResourceCalls(
        rows=ASSIGNMENTS,
        plural="assignments",
        create=ClassAssignmentCreate,
        update=ClassAssignmentUpdate,
        query=AssignmentFilter,
        docs=Docs(
            create="Hands a notebook out to a class.",
            delete="Deletes an assignment that has no submissions.",
        ),
        insert=assignments.create,
        change=assignments.update,
    ).declare(api)
