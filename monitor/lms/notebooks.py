"""Notebooks: made by the events that name them, or ahead, to be handed out."""

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
    """The page of a list of notebooks, and which of them."""

    path: Indexed | UnsetType = UNSET


class NotebookCreate(msgspec.Struct):
    """A notebook to be made. `path` is that of its events; `name` is the path's last part."""

    path: Required
    name: Name | UnsetType = UNSET


class NotebookUpdate(msgspec.Struct):
    """Changes of a notebook: what is left out stays. The path is that of its events for ever."""

    name: Name | UnsetType = UNSET
    path: Required | UnsetType = UNSET


class NotebookResponse(msgspec.Struct):
    """A notebook."""

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
    """Raises NotFound, and Invalid for another path."""
    notebook = await NOTEBOOKS.get(connection, notebook_id)
    if body.path not in (UNSET, notebook.path):
        raise Fixed("path")
    return await NOTEBOOKS.update(connection, notebook_id, values(body))
