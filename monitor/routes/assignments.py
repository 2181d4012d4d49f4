"""`/assignments`."""

from monitor.http.operations import Api
from monitor.http.resources import Docs, ResourceCalls
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
            create="Makes an assignment.",
            delete="Deletes an assignment that has no submissions.",
        ),
    ).declare(api)
