"""Assignments: a notebook that a class works on, with a due date and points."""

from datetime import datetime

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.auth.principal import Principal
from monitor.database.paging import Id, Page
from monitor.database.resource import Name, Resource, values
from monitor.lms.notebooks import notebook_of_class


class AssignmentFilter(Page, frozen=True, kw_only=True):
    """A page of assignments, only those of a class or a notebook if given."""

    class_id: Id | UnsetType = UNSET
    notebook_id: Id | UnsetType = UNSET


class ClassAssignmentCreate(msgspec.Struct):
    """A new assignment. A `due_date` without a zone is in UTC.

    A notebook of another class or of none is not changed: the class has one of its own with the
    same path, which is made if needed, and which the assignment refers to.
    """

    class_id: Id
    notebook_id: Id
    title: Name
    description: str | None = None
    due_date: datetime | None = None
    points: float | None = None


class ClassAssignmentUpdate(msgspec.Struct):
    """Changes of an assignment: fields that are left out stay as they are."""

    class_id: Id | UnsetType = UNSET
    notebook_id: Id | UnsetType = UNSET
    title: Name | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    due_date: datetime | UnsetType | None = UNSET
    points: float | UnsetType | None = UNSET


class ClassAssignmentResponse(msgspec.Struct):
    """A notebook assigned to a class. `points` is the highest grade."""

    id: int
    class_id: int
    notebook_id: int
    title: str
    description: str | None
    due_date: datetime | None
    points: float | None
    created_at: datetime
    updated_at: datetime


ASSIGNMENTS = Resource(ClassAssignmentResponse, "class_assignments", "assignment")


async def create(
    connection: asyncpg.Connection, body: ClassAssignmentCreate, caller: Principal
) -> ClassAssignmentResponse:
    """Hands a notebook out to a class. Raises Unknown."""
    notebook_id = await notebook_of_class(connection, body.class_id, body.notebook_id)
    return await ASSIGNMENTS.insert(connection, {**values(body), "notebook_id": notebook_id})


async def update(
    connection: asyncpg.Connection, assignment_id: int, body: ClassAssignmentUpdate
) -> ClassAssignmentResponse:
    """Changes an assignment; another class gets a notebook of its own. Raises NotFound, Unknown."""
    changes = values(body)
    if changes.keys() & {"class_id", "notebook_id"}:
        await connection.execute(_LOCK, assignment_id)
        assignment = await ASSIGNMENTS.get(connection, assignment_id)
        changes["notebook_id"] = await notebook_of_class(
            connection,
            changes.get("class_id", assignment.class_id),
            changes.get("notebook_id", assignment.notebook_id),
        )
    return await ASSIGNMENTS.update(connection, assignment_id, changes)


_LOCK = "SELECT FROM class_assignments WHERE id = $1 FOR NO KEY UPDATE"
