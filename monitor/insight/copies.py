"""Which notebooks of a class count for another one, at the places that a view shows."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import asyncpg

from monitor.database.pool import Connection
from monitor.insight.query import ClassIds

Row = dict[str, Any]


async def counted_places(
    connection: Connection, class_ids: ClassIds, rows: Sequence[asyncpg.Record]
) -> list[Row]:
    """The rows as dictionaries, `notebook_id` and `notebook_path` replaced.

    They name the notebook that counts in the class, not the copy that a student was at.
    """
    places = [dict(row) for row in rows]
    await _replace(connection, class_ids, places)
    return places


async def counted_places_by_class(
    connection: Connection, rows: Sequence[asyncpg.Record]
) -> list[Row]:
    """The same for rows of several classes, their `class_id`; null is none."""
    places = [dict(row) for row in rows]
    by_class: defaultdict[int, list[Row]] = defaultdict(list)
    for place in places:
        if place["class_id"] is not None and place["notebook_id"] is not None:
            by_class[place["class_id"]].append(place)
    for class_id, those in by_class.items():
        await _replace(connection, [class_id], those)
    return places


async def _replace(connection: Connection, class_ids: ClassIds, places: list[Row]) -> None:
    notebook_ids = {place["notebook_id"] for place in places} - {None}
    if not notebook_ids:
        return
    copies = {
        row["notebook_id"]: (row["counts_for"], row["path"])
        for row in await connection.fetch(_SELECT_COPIES, class_ids, list(notebook_ids))
    }
    for place in places:
        if counted := copies.get(place["notebook_id"]):
            place["notebook_id"], place["notebook_path"] = counted


_SELECT_COPIES = """
    SELECT copy.notebook_id, copy.counts_for, n.path
    FROM notebook_copies($1::bigint[], $2::bigint[]) AS copy CROSS JOIN LATERAL (
        SELECT path FROM notebooks WHERE id = copy.counts_for OFFSET 0
    ) AS n
"""
