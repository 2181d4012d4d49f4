"""Assignments: a notebook that a class works on, with a due date and points."""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.paging import Id, Page
from monitor.database.resource import Name, Resource


class AssignmentFilter(Page, frozen=True, kw_only=True):
    """A page of assignments, only those of a class or a notebook if given."""

    class_id: Id | UnsetType = UNSET
    notebook_id: Id | UnsetType = UNSET


class ClassAssignmentCreate(msgspec.Struct):
    """A new assignment. A `due_date` without a zone is in UTC."""

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
