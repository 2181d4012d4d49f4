"""The error radar: the errors of a class in the last minutes, widespread ones first."""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from monitor.database.members import CLASS_MEMBERS
from monitor.database.pool import Connection
from monitor.insight.places import place
from monitor.insight.query import ClassIds, Query, class_students

_TREND_STEPS = 10
_MAX_GROUPS = 20


class RadarQuery(Query, frozen=True, kw_only=True):
    """`minutes`: how far to look back."""

    minutes: Annotated[int, msgspec.Meta(ge=1, le=60)] = 10


class ErrorGroup(msgspec.Struct, kw_only=True):
    """Errors of one kind in one cell, their variable parts as `…`.

    `students` are user_ids. `trend` has the number of errors in each tenth of the time, the oldest
    first. `example` is the text of the latest error, `code` the code that raised it (up to 2,000
    characters each), `example_of` the user_id. `cell_position` is the cell's index, from 0.
    """

    notebook_id: int | None
    notebook_path: str | None
    cell_id: str | None
    cell_position: int | None
    error: str
    count: int
    students: list[str]
    trend: list[int]
    last_at: datetime
    example_of: str
    example: str | None
    code: str | None


class Radar(msgspec.Struct):
    """Groups of errors, widespread ones first; `students` is how many the class has."""

    students: int
    minutes: int
    groups: list[ErrorGroup]


async def error_radar(connection: Connection, class_ids: ClassIds, query: RadarQuery) -> Radar:
    """Up to 20 groups, those of most students first. Raises NotFound."""
    students = await class_students(connection, class_ids)
    window = timedelta(minutes=query.minutes)
    step = window / _TREND_STEPS
    rows = await connection.fetch(_SELECT, class_ids, window, step, _TREND_STEPS, _MAX_GROUPS)
    groups = [
        ErrorGroup(
            **{name: row[name] for name in _COPIED_COLUMNS},
            students=sorted(row["user_ids"]),
            trend=[row["steps"].count(number) for number in range(_TREND_STEPS)],
        )
        for row in rows
    ]
    return Radar(len(students), query.minutes, groups)


_COPIED_COLUMNS = (
    "notebook_id",
    "notebook_path",
    "cell_id",
    "cell_position",
    "error",
    "count",
    "last_at",
    "example_of",
    "example",
    "code",
)

# By the times put right. OFFSET 0 keeps the planner from flattening the lateral query, so that each
# student's errors are read by the table's key, however wrong the estimates are.
_SELECT = f"""
    WITH recent AS MATERIALIZED (
        SELECT m.user_id, m.class_id, e.*, normalised_error(left(e.error, 500)) AS kind
        FROM ({CLASS_MEMBERS}) AS m
        CROSS JOIN LATERAL (
            SELECT put_right(e.received_at, e.executed_at, e.clock_offset) AS at,
                e.alias_id, e.cell_id, e.event_id, e.error, e.code
            FROM cell_executions AS e
            WHERE e.student_id = m.student_id AND e.class_id = ANY ($1)
                AND e.status = 'error' AND e.excluded IS NULL
                AND e.executed_at
                    > now() - $2::interval - m.greatest_offset * interval '1 microsecond'
            OFFSET 0
        ) AS e
        WHERE m.role = 'student' AND e.at > now() - $2
    ), places AS MATERIALIZED (
        SELECT named.alias_id, named.cell_id AS cell, place.*
        FROM (SELECT DISTINCT class_id, alias_id, cell_id FROM recent) AS named
        CROSS JOIN {place(alias="named.alias_id", cell="named.cell_id", class_id="named.class_id")}
            AS place
    ), copies AS MATERIALIZED (
        SELECT copy.notebook_id, copy.counts_for, n.path
        FROM notebook_copies($1, ARRAY(SELECT notebook_id FROM places)) AS copy
        CROSS JOIN LATERAL (SELECT path FROM notebooks WHERE id = copy.counts_for OFFSET 0) AS n
    ), counted AS MATERIALIZED (
        SELECT p.alias_id, p.cell, p.cell_id, p.cell_position,
            COALESCE(copy.counts_for, p.notebook_id) AS notebook_id,
            COALESCE(copy.path, p.notebook_path) AS notebook_path
        FROM places AS p LEFT JOIN LATERAL (
            SELECT counts_for, path FROM copies WHERE notebook_id = p.notebook_id OFFSET 0
        ) AS copy ON true
    ), placed AS MATERIALIZED (
        SELECT r.*, p.notebook_id, p.notebook_path, p.cell_id AS cell_name, p.cell_position
        FROM recent AS r FULL JOIN counted AS p  -- full: only hashed or merged; r has all keys of p
            ON p.alias_id = r.alias_id AND COALESCE(p.cell, 0) = COALESCE(r.cell_id, 0)
    ), grouped AS (
        SELECT notebook_id, notebook_path, cell_name, max(cell_position) AS cell_position, kind,
            count(*), max(at) AS last_at, array_agg(DISTINCT user_id) AS user_ids,
            array_agg(GREATEST(0, LEAST($4::integer - 1, floor(
                extract(epoch FROM at - (now() - $2::interval)) / extract(epoch FROM $3::interval)
            )::integer))) AS steps,
            (array_agg(event_id ORDER BY at DESC))[1] AS example_event,
            (array_agg(user_id ORDER BY at DESC))[1] AS example_of
        FROM placed GROUP BY notebook_id, notebook_path, cell_name, kind
        ORDER BY cardinality(array_agg(DISTINCT user_id)) DESC, count(*) DESC, kind LIMIT $5
    )
    SELECT g.notebook_id, g.notebook_path, g.cell_name AS cell_id, g.cell_position,
        COALESCE(g.kind, 'Error') AS error, g.count, g.last_at, g.user_ids, g.steps,
        g.example_of, left(e.error, 2000) AS example, left(e.code, 2000) AS code
    FROM grouped AS g
    JOIN recent AS e ON e.event_id = g.example_event AND e.user_id = g.example_of
    ORDER BY cardinality(g.user_ids) DESC, g.count DESC, error
"""  # noqa: S608 - constants
