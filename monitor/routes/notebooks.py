"""Notebooks."""

from monitor.auth.principal import Principal
from monitor.auth.visibility import visible
from monitor.database.paging import Id, Listing
from monitor.database.pool import Database
from monitor.database.resource import InUse
from monitor.errors import Conflict, NotFound
from monitor.http.operations import Api
from monitor.lms import notebooks
from monitor.lms.notebooks import (
    NOTEBOOKS,
    NotebookCreate,
    NotebookFilter,
    NotebookResponse,
    NotebookUpdate,
)


def declare(api: Api, database: Database) -> None:
    @api.operation("POST", "/notebooks", status=201, raises=(InUse,))
    async def create_notebook(body: NotebookCreate) -> NotebookResponse:
        """Makes a notebook."""
        async with database.transaction() as connection:
            return await notebooks.create(connection, body)

    @api.operation("GET", "/notebooks")
    async def list_notebooks(query: NotebookFilter, caller: Principal) -> Listing[NotebookResponse]:
        """Notebooks, in the order in which they were made."""
        async with database.transaction() as connection:
            return await NOTEBOOKS.find(connection, query, visible(NOTEBOOKS.table, caller))

    @api.operation("GET", "/notebooks/{notebook_id}", raises=(NotFound,))
    async def get_notebook(notebook_id: Id) -> NotebookResponse:
        """A notebook."""
        async with database.transaction() as connection:
            return await NOTEBOOKS.get(connection, notebook_id)

    @api.operation("PUT", "/notebooks/{notebook_id}", raises=(NotFound,))
    async def update_notebook(notebook_id: Id, body: NotebookUpdate) -> NotebookResponse:
        """Changes a notebook: what is left out stays."""
        async with database.transaction() as connection:
            return await notebooks.update(connection, notebook_id, body)

    @api.operation("DELETE", "/notebooks/{notebook_id}", raises=(NotFound, Conflict))
    async def delete_notebook(notebook_id: Id) -> NotebookResponse:
        """Deletes a notebook that has neither events nor assignments."""
        async with database.transaction() as connection:
            return await NOTEBOOKS.delete(connection, notebook_id)
