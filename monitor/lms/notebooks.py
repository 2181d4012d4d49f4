"""Notebooks: created by the first event that names them, or in advance for an assignment."""

import re
from datetime import datetime

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.paging import Page
from monitor.database.resource import Fixed, Name, Resource, values
from monitor.events.event import Indexed, Required

_FOLDERS = re.compile("^.*/(?=.)", re.DOTALL)


class NotebookFilter(Page, frozen=True, kw_only=True):
    """A page of notebooks, only the one with a path if given."""

    path: Indexed | UnsetType = UNSET


class NotebookCreate(msgspec.Struct):
    """A new notebook. `path` is as in its events; `name` defaults to the last part of the path."""

    path: Required
    name: Name | UnsetType = UNSET


class NotebookUpdate(msgspec.Struct):
    """Changes of a notebook: its name. The path can't be changed, because events refer to it."""

    name: Name | UnsetType = UNSET
    path: Required | UnsetType = UNSET


class NotebookResponse(msgspec.Struct):
    """A notebook, identified by the `path` that its events have."""

    id: int
    path: str
    name: str
    created_at: datetime


NOTEBOOKS = Resource(NotebookResponse, "notebooks", "notebook")


async def create(connection: asyncpg.Connection, body: NotebookCreate) -> NotebookResponse:
    """Raises InUse."""
    name = _FOLDERS.sub("", body.path)
    return await NOTEBOOKS.insert(connection, {"name": name, **values(body)})


async def update(
    connection: asyncpg.Connection, notebook_id: int, body: NotebookUpdate
) -> NotebookResponse:
    """Raises NotFound, and Fixed if the path is another one."""
    notebook = await NOTEBOOKS.get(connection, notebook_id)
    if body.path not in (UNSET, notebook.path):
        raise Fixed("path")
    return await NOTEBOOKS.update(connection, notebook_id, values(body))
