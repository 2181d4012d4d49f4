"""Classes."""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.paging import Page
from monitor.database.resource import Name, Resource
from monitor.events.event import Indexed, Required


class ClassFilter(Page, frozen=True, kw_only=True):
    """The page of a list of classes, and which of them."""

    class_code: Indexed | UnsetType = UNSET


class ClassCreate(msgspec.Struct):
    """A class to be made. `class_code` is unique."""

    name: Name
    class_code: Required
    description: str | None = None
    is_active: bool = True


class ClassUpdate(msgspec.Struct):
    """Changes of a class: what is left out stays."""

    name: Name | UnsetType = UNSET
    class_code: Required | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET


class ClassResponse(msgspec.Struct):
    """A class."""

    id: int
    name: str
    class_code: str
    description: str | None
    is_active: bool
    created_at: datetime
    updated_at: datetime


CLASSES = Resource(ClassResponse, "classes", "class")
