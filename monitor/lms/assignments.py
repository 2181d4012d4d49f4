"""Assignments: a notebook handed out to a class."""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.paging import Id, Page
from monitor.database.resource import Name, Resource


class AssignmentFilter(Page, frozen=True, kw_only=True):
    """The page of a list of assignments, and which of them."""

    class_id: Id | UnsetType = UNSET
    notebook_id: Id | UnsetType = UNSET


class ClassAssignmentCreate(msgspec.Struct):
    """An assignment to be made. A `due_date` without a zone is in UTC."""

    class_id: Id
    notebook_id: Id
    title: Name
    description: str | None = None
    due_date: datetime | None = None
    points: float | None = None


class ClassAssignmentUpdate(msgspec.Struct):
    """Changes of an assignment: what is left out stays."""

    class_id: Id | UnsetType = UNSET
    notebook_id: Id | UnsetType = UNSET
    title: Name | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    due_date: datetime | UnsetType | None = UNSET
    points: float | UnsetType | None = UNSET


class ClassAssignmentResponse(msgspec.Struct):
    """An assignment."""

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
