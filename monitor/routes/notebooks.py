"""`/notebooks`."""

from monitor.database.resource import InUse
from monitor.http.operations import Api
from monitor.http.resources import Docs, ResourceCalls
from monitor.lms import notebooks
from monitor.lms.notebooks import (
    NOTEBOOKS,
    NotebookCreate,
    NotebookFilter,
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
            create="Makes a notebook of a class, or of none.",
            delete="Deletes a notebook that has neither events nor assignments.",
        ),
        find=notebooks.find,
        insert=notebooks.create,
        change=notebooks.update,
        create_raises=(InUse,),
    ).declare(api)
