"""Notebooks, of a class or of none: created by the first event that names them, or in advance."""

from datetime import datetime

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.auth.principal import Principal
from monitor.auth.visibility import visible
from monitor.database.paging import Id, Listing, Page
from monitor.database.resource import Fixed, Name, Resource, Unknown, values
from monitor.events.event import NO_CLASS, Indexed, Required


class NotebookFilter(Page, frozen=True, kw_only=True):
    """A page of notebooks, only those of a class or with a path if given."""

    class_id: Id | UnsetType = UNSET
    path: Indexed | UnsetType = UNSET


class NotebookCreate(msgspec.Struct):
    """A new notebook of a class, or of none.

    `path` is as in its events, and put in order: `C:\\work\\a.ipynb` is `work/a.ipynb`. `name`
    defaults to the last part of the path.
    """

    path: Required
    class_id: Id | None = None
    name: Name | UnsetType = UNSET


class NotebookUpdate(msgspec.Struct):
    """Changes of a notebook: its name. Path and class can't be changed: events refer to them."""

    name: Name | UnsetType = UNSET
    path: Required | UnsetType = UNSET
    class_id: Id | UnsetType | None = UNSET


class NotebookResponse(msgspec.Struct):
    """A notebook, identified by its class, if it has one, and its `path`."""

    id: int
    class_id: int | None
    path: str
    name: str
    created_at: datetime

    def __post_init__(self) -> None:
        if self.class_id == NO_CLASS:
            self.class_id = None


NOTEBOOKS = Resource(NotebookResponse, "notebooks", "notebook")


async def find(
    connection: asyncpg.Connection, page: NotebookFilter, caller: Principal
) -> Listing[NotebookResponse]:
    """A page of the notebooks that a caller sees, in the order in which they were made."""
    if page.path is not UNSET:
        path = await connection.fetchval(_PUT_IN_ORDER, page.path)
        page = msgspec.structs.replace(page, path=path)
    return await NOTEBOOKS.find(connection, page, visible(NOTEBOOKS.table, caller))


async def create(
    connection: asyncpg.Connection, body: NotebookCreate, caller: Principal
) -> NotebookResponse:
    """Raises InUse where the class has a notebook with this path, and Unknown."""
    if body.class_id is not None:
        await check_class(connection, body.class_id)
    row = await connection.fetchrow(_SELECT_NAMES, body.path)
    fields = {**row, **values(body), "path": row["path"], "class_id": body.class_id or NO_CLASS}
    return await NOTEBOOKS.insert(connection, fields)


async def update(
    connection: asyncpg.Connection, notebook_id: int, body: NotebookUpdate
) -> NotebookResponse:
    """Raises NotFound, and Fixed if the path or the class is another one."""
    notebook = await NOTEBOOKS.get(connection, notebook_id)
    changes = values(body)
    for name in ("path", "class_id"):
        if changes.pop(name, getattr(notebook, name)) != getattr(notebook, name):
            raise Fixed(name)
    return await NOTEBOOKS.update(connection, notebook_id, changes)


async def notebook_of_class(connection: asyncpg.Connection, class_id: int, notebook_id: int) -> int:
    """The id of the class's own notebook with the same path as this one; creates it if needed.

    Raises Unknown.
    """
    await check_class(connection, class_id)
    row = await connection.fetchrow(_SELECT_PATH, notebook_id)
    if row is None:
        raise Unknown("notebook_id", notebook_id)
    if row["class_id"] == class_id:
        return notebook_id
    await connection.execute(_INSERT_MISSING, class_id, row["path"], row["name"])
    own_id: int = await connection.fetchval(_SELECT_ID, class_id, row["path"])
    return own_id


async def check_class(connection: asyncpg.Connection, class_id: int) -> None:
    """Raises Unknown; keeps the class from being deleted until the transaction ends."""
    if await connection.fetchval(_LOCK_CLASS, class_id) is None:
        raise Unknown("class_id", class_id)


_LOCK_CLASS = "SELECT id FROM classes WHERE id = $1 FOR KEY SHARE"

_PUT_IN_ORDER = "SELECT path_in_order($1)"

_SELECT_NAMES = """
    SELECT path, file_name(path) AS name FROM (SELECT path_in_order($1) AS path) AS t
"""

_SELECT_PATH = "SELECT class_id, path, name FROM notebooks WHERE id = $1"

_INSERT_MISSING = """
    INSERT INTO notebooks (class_id, path, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""

_SELECT_ID = "SELECT id FROM notebooks WHERE class_id = $1 AND path = $2"
