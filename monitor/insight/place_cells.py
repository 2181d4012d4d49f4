"""A place in a class's notebook, as the views of its cells name it: which stored cells it is."""

from typing import Annotated, NamedTuple

import msgspec

from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.insight.query import ClassIds, Notebook

Place = Annotated[
    str, msgspec.Meta(max_length=600, description="`id:` and a cell id, or `index:` and a number")
]


class PlaceCells(NamedTuple):
    """The ids of the rows of `cells` that are this place, and what is shown of it."""

    ids: list[int]
    cell_id: str | None
    position: int | None


async def place_cells(
    connection: Connection, class_ids: ClassIds, notebook: Notebook, place: str
) -> PlaceCells:
    """Raises NotFound."""
    kind, _, name = place.partition(":")
    row = await connection.fetchrow(_SELECT, notebook.alias_ids, name)
    if kind != "id" or row["ids"] is None:
        raise NotFound(f"There is no cell {place} in {notebook.path} in the class {class_ids[0]}")
    return PlaceCells(row["ids"], name, row["position"])


_SELECT = """
    SELECT array_agg(id) AS ids,
        (array_agg(position ORDER BY position_at DESC) FILTER (WHERE position >= 0))[1] AS position
    FROM cells WHERE alias_id = ANY ($1::bigint[]) AND cell_id = $2
"""
