"""`/notebooks`."""

from monitor.auth.principal import Principal
from monitor.database.pool import Connection
from monitor.database.resource import InUse
from monitor.http.operations import Api
from monitor.http.resources import Docs, ResourceCalls
from monitor.lms import notebooks
from monitor.lms.notebooks import (
    NOTEBOOKS,
    NotebookCreate,
    NotebookFilter,
    NotebookResponse,
    NotebookUpdate,
)


def declare(api: Api) -> None:
    ResourceCalls(
        rows=NOTEBOOKS,
        plural="notebooks",
        create=NotebookCreate,
        update=NotebookUpdate,
        query=NotebookFilter,
        docs=Docs(
            create="Makes a notebook.",
            delete="Deletes a notebook that has neither events nor assignments.",
        ),
        insert=_create,
        change=notebooks.update,
        create_raises=(InUse,),
    ).declare(api)


async def _create(
    connection: Connection, body: NotebookCreate, caller: Principal
) -> NotebookResponse:
    return await notebooks.create(connection, body)
