"""A teacher's word on whether two notebooks of a class are one. It stands above recognition."""

from datetime import datetime

import asyncpg
import msgspec

from monitor.auth.principal import Principal
from monitor.database.paging import Id
from monitor.database.resource import Invalid, Unknown
from monitor.errors import Conflict, NotFound
from monitor.lms.notebooks import notebook_of_class


class MergeNotebook(msgspec.Struct):
    """`into` is the notebook of the class that it counts for from now on."""

    into: Id


class NotebookDecision(msgspec.Struct):
    """In the class the notebook counts for `counts_for`, or for itself only (null)."""

    class_id: int
    notebook_id: int
    counts_for: int | None
    decided_by: str
    decided_at: datetime


async def merge(
    connection: asyncpg.Connection,
    class_ids: list[int],
    notebook_id: int,
    into: int,
    caller: Principal,
) -> NotebookDecision:
    """Lets a notebook count for what `into` counts for now; replaces an earlier decision.

    The first of these classes is the class, the others are those whose rows it shows. Raises
    NotFound for the notebook, Unknown and Invalid for `into`, and Conflict where that counts for
    the notebook.
    """
    own_id = await _own_notebook(connection, class_ids, notebook_id)
    root_id = await connection.fetchval(_SELECT_ROOT, class_ids, into)
    if root_id is None:
        raise Unknown("into", into)
    if await _own_notebook(connection, class_ids, into) == own_id:
        raise Invalid("into", "into must be another notebook")
    target_id = await _own_notebook(connection, class_ids, root_id)
    if target_id == own_id:
        raise Conflict(
            f"The notebook {into} counts for {notebook_id} already: merge it the other way round,"
            " or keep it apart first"
        )
    return await _decide(connection, class_ids[0], own_id, target_id, caller)


async def keep_apart(
    connection: asyncpg.Connection, class_ids: list[int], notebook_id: int, caller: Principal
) -> NotebookDecision:
    """Lets a notebook count for itself only, whatever it looks like. Raises NotFound."""
    own_id = await _own_notebook(connection, class_ids, notebook_id)
    return await _decide(connection, class_ids[0], own_id, None, caller)


async def undo(
    connection: asyncpg.Connection, class_ids: list[int], notebook_id: int
) -> NotebookDecision:
    """Deletes the decision on a notebook, which is recognised again. Raises NotFound."""
    own_id = await _own_notebook(connection, class_ids, notebook_id)
    row = await connection.fetchrow(_DELETE, class_ids[0], own_id)
    if row is None:
        raise NotFound(f"Nothing was decided about the notebook {notebook_id}")
    return NotebookDecision(**row)


async def _own_notebook(
    connection: asyncpg.Connection, class_ids: list[int], notebook_id: int
) -> int:
    """The class's own notebook with the path of one that it shows; created if needed."""
    await connection.execute(_LOCK, class_ids[0])
    if not await connection.fetchval(_IS_SHOWN, class_ids, notebook_id):
        raise NotFound(f"There is no notebook {notebook_id} in the class {class_ids[0]}")
    return await notebook_of_class(connection, class_ids[0], notebook_id)


async def _decide(
    connection: asyncpg.Connection,
    class_id: int,
    notebook_id: int,
    counts_for: int | None,
    caller: Principal,
) -> NotebookDecision:
    row = await connection.fetchrow(_UPSERT, class_id, notebook_id, counts_for, caller.name)
    return NotebookDecision(**row)


# Decisions of a class are made one after the other, so that no two lead back to each other.
_LOCK = "SELECT FROM classes WHERE id = $1 FOR NO KEY UPDATE"

_IS_SHOWN = "SELECT true FROM notebooks WHERE id = $2 AND class_id = ANY ($1::bigint[])"

_SELECT_ROOT = """
    SELECT COALESCE(copy.counts_for, n.id)
    FROM notebooks AS n
    LEFT JOIN notebook_copies($1::bigint[], ARRAY[$2::bigint]) AS copy ON copy.notebook_id = n.id
    WHERE n.id = $2 AND n.class_id = ANY ($1)
"""

_UPSERT = """
    INSERT INTO notebook_decisions (class_id, notebook_id, counts_for, decided_by)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (class_id, notebook_id) DO UPDATE SET
        counts_for = EXCLUDED.counts_for, decided_by = EXCLUDED.decided_by,
        decided_at = EXCLUDED.decided_at
    RETURNING class_id, notebook_id, counts_for, decided_by, decided_at
"""

_DELETE = """
    DELETE FROM notebook_decisions WHERE class_id = $1 AND notebook_id = $2
    RETURNING class_id, notebook_id, counts_for, decided_by, decided_at
"""
