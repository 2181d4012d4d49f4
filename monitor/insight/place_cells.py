"""A place in a class's notebook, as the views of its cells name it: whose cells are there."""

from typing import Annotated, NamedTuple

import msgspec

from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.insight.cell_names import CellName, best_names, most_run
from monitor.insight.notebook_rows import ADDED, INDEX, NAMED, PLACED
from monitor.insight.query import ClassIds, Notebook

Place = Annotated[
    str,
    msgspec.Meta(
        max_length=600, description="`id:` and a cell's id, or `index:` or `added:` and an index"
    ),
]

_KINDS = {"id": NAMED, "index": INDEX, "added": ADDED}
_MAX_INDEX = 2**31 - 1


class PlaceCells(NamedTuple):
    """The cells of students at a place, a list each of student ids, aliases and ids of `cells`.

    `cell_id` is null unless the place has the id of a cell; `position` is the index that most have.
    `name` is that of the place.
    """

    students: list[int]
    aliases: list[int]
    ids: list[int]
    cell_id: str | None
    position: int | None
    name: CellName


async def place_cells(
    connection: Connection,
    class_ids: ClassIds,
    notebook: Notebook,
    students: list[int],
    place: str,
) -> PlaceCells:
    """Those that are there now: a place is found when it is read. Raises NotFound."""
    kind, _, name = place.partition(":")
    is_index = name.isascii() and name.isdecimal() and int(name) <= _MAX_INDEX
    rows = []
    if kind == "id" or (kind in _KINDS and is_index):
        rows = await connection.fetch(
            _SELECT,
            students,
            notebook.alias_ids,
            class_ids[0],
            _KINDS[kind],
            None if kind == "id" else int(name),
            name,
        )
    if not rows:
        raise NotFound(f"There is no cell {place} in {notebook.path} in the class {class_ids[0]}")
    (name_there,) = await best_names(connection, class_ids, rows[:1])
    theirs = [row for row in rows if row["is_student"]]
    return PlaceCells(
        [row["student_id"] for row in theirs],
        [row["alias_id"] for row in theirs],
        [row["id"] for row in theirs],
        name if kind == "id" else None,
        min((row["at"] for row in rows if row["at"] is not None), default=None),
        name_there,
    )


_SELECT = f"""
    WITH there AS (
        SELECT * FROM ({PLACED}) AS placed
        WHERE kind = $4::integer
            AND key = CASE WHEN $5::bigint IS NULL THEN hashtextextended($6::text, 0) ELSE $5 END
    )
    SELECT student_id, is_student, alias_id, id, at,
        named_student, named_alias, named_cell, named_index
    FROM there LEFT JOIN ({most_run("there")}) AS best ON true
"""  # noqa: S608 - constants
