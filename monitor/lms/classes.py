"""Classes."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.paging import Page
from monitor.database.resource import Name, Resource
from monitor.events.event import Indexed, Required

# Who joins by posting with the class's key: anybody (up to `max_new_names` new names a day, from
# then on as `approve`), whom a teacher lets in, or nobody who is not on the roster.
JoinPolicy = Literal["open", "approve", "roster"]
NewNames = Annotated[int, msgspec.Meta(ge=0, le=100_000, description="A day, by UTC")]


class ClassFilter(Page, frozen=True, kw_only=True):
    """A page of classes, only the one with a code if given."""

    class_code: Indexed | UnsetType = UNSET


class ClassCreate(msgspec.Struct):
    """A new class. `class_code` is unique."""

    name: Name
    class_code: Required
    description: str | None = None
    is_active: bool = True
    join_policy: JoinPolicy = "open"
    max_new_names: NewNames = 500


class ClassUpdate(msgspec.Struct):
    """Changes of a class: fields that are left out stay as they are."""

    name: Name | UnsetType = UNSET
    class_code: Required | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET
    join_policy: JoinPolicy | UnsetType = UNSET
    max_new_names: NewNames | UnsetType = UNSET


class ClassResponse(msgspec.Struct):
    """A class; an archived one is not `is_active`. Students of a demo are simulated."""

    id: int
    name: str
    class_code: str
    description: str | None
    is_active: bool
    join_policy: JoinPolicy
    max_new_names: int
    is_demo: bool
    created_at: datetime
    updated_at: datetime


CLASSES = Resource(ClassResponse, "classes", "class")
