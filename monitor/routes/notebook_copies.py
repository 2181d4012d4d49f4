"""Copies of a notebook in a class: what counts for it, merging, keeping apart, and undoing that."""

from functools import partial

from monitor.auth.principal import Principal
from monitor.database.paging import Id
from monitor.database.pool import Connection
from monitor.database.resource import Invalid, Unknown
from monitor.errors import Conflict, NotFound
from monitor.http.operations import Api
from monitor.http.snapshots import Snapshots
from monitor.insight.notebook_copies import NotebookCopies, notebook_copies
from monitor.insight.query import shown_classes
from monitor.lms import notebook_decisions
from monitor.lms.notebook_decisions import MergeNotebook, NotebookDecision


def declare(api: Api, *, is_open: bool) -> None:
    """`is_open`: the server needs no credentials; its classes also show what was done in none."""
    shown = partial(shown_classes, is_open=is_open)
    path = "/classes/{class_id}/notebooks/{notebook_id}"

    @api.operation("GET", f"{path}/copies", raises=(NotFound,))
    async def get_notebook_copies(
        snapshots: Snapshots, class_id: Id, notebook_id: Id
    ) -> NotebookCopies:
        """What counts for a notebook in a class, and why, and what else might."""
        # A teacher who has just decided has to see that they have.
        read = partial(notebook_copies, class_ids=shown(class_id), notebook_id=notebook_id)
        return await snapshots.read(read, counted=True, current=True)

    @api.operation("POST", f"{path}/merge", raises=(NotFound, Unknown, Invalid, Conflict))
    async def merge_notebook(
        connection: Connection,
        caller: Principal,
        class_id: Id,
        notebook_id: Id,
        body: MergeNotebook,
    ) -> NotebookDecision:
        """Says that this notebook and another one of the class are one: it counts for that one."""
        return await notebook_decisions.merge(
            connection, shown(class_id), notebook_id, body.into, caller
        )

    @api.operation("POST", f"{path}/keep-apart", raises=(NotFound,))
    async def keep_notebook_apart(
        connection: Connection, caller: Principal, class_id: Id, notebook_id: Id
    ) -> NotebookDecision:
        """Says that this notebook is a copy of none in the class, whatever it looks like."""
        return await notebook_decisions.keep_apart(connection, shown(class_id), notebook_id, caller)

    @api.operation("DELETE", f"{path}/decision", raises=(NotFound,))
    async def undo_notebook_decision(
        connection: Connection, class_id: Id, notebook_id: Id
    ) -> NotebookDecision:
        """Undoes a merge or a keeping apart: the notebook is recognised by itself again."""
        return await notebook_decisions.undo(connection, shown(class_id), notebook_id)
