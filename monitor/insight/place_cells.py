"""A place in a class's notebook, as the views of its cells name it: whose cells are there."""

from typing import Annotated, NamedTuple

import msgspec

from monitor.database.pool import Connection
from monitor.insight.cell_names import CellName
from monitor.insight.class_notebook import ClassNotebook
from monitor.insight.class_places import KINDS, best_run, position

Place = Annotated[
    str,
    msgspec.Meta(
        max_length=600, description="`id:` and a cell's id, or `index:` or `added:` and an index"
    ),
]

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
    connection: Connection, notebook: ClassNotebook, place: str
) -> PlaceCells | None:
    """Those that are there now: a place is found when it is read. None where there are none."""
    kind, _, name = place.partition(":")
    is_index = name.isascii() and name.isdecimal() and int(name) <= _MAX_INDEX
    if kind == "id":
        key = await connection.fetchval("SELECT hashtextextended($1::text, 0)", name)
    elif kind in KINDS and is_index:
        key = int(name)
    else:
        return None
    there = notebook.places.get((KINDS[kind], key))
    if there is None:
        return None
    run = there.of(best_run)
    theirs = [cell for cell in there.cells if cell.is_student]
    return PlaceCells(
        [cell.student_id for cell in theirs],
        [cell.alias_id for cell in theirs],
        [cell.id for cell in theirs],
        name if kind == "id" else None,
        there.of(position),
        (await notebook.names(connection, [run]))[run],
    )
