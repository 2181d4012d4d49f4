"""The error radar: which errors of the last minutes a class is still at, widespread ones first."""

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

    `students` met it, and `still` of them have not got past the cell since: no success there is
    later than their error. Both are user_ids. `count` and `trend` are of all its errors: `trend`
    has their number in each tenth of the time, the oldest first. `example` is the text of the
    latest error of those who are still at it, `code` the code that raised it (up to 2,000
    characters each), `example_of` the user_id. `cell_position` is the cell's index, from 0.
    """

    notebook_id: int | None
    notebook_path: str | None
    cell_id: str | None
    cell_position: int | None
    error: str
    count: int
    students: list[str]
    still: list[str]
    trend: list[int]
    last_at: datetime
    example_of: str
    example: str | None
    code: str | None


class Radar(msgspec.Struct):
    """Groups that somebody is still at, those of most students first.

    `more` is how many further groups there are, `students` how many students the class has.
    """

    students: int
    minutes: int
    groups: list[ErrorGroup]
    more: int


async def error_radar(connection: Connection, class_ids: ClassIds, query: RadarQuery) -> Radar:
    """Up to 20 groups. Raises NotFound."""
    students = await class_students(connection, class_ids)
    window = timedelta(minutes=query.minutes)
    step = window / _TREND_STEPS
    rows = await connection.fetch(_SELECT, class_ids, window, step, _TREND_STEPS, _MAX_GROUPS)
    groups = [
        ErrorGroup(
            **{name: row[name] for name in _COPIED_COLUMNS},
            students=sorted(row["students"]),
            still=sorted(row["still"]),
            trend=[row["steps"].count(number) for number in range(_TREND_STEPS)],
        )
        for row in rows
    ]
    more = rows[0]["groups"] - len(groups) if rows else 0
    return Radar(len(students), query.minutes, groups, more)


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

# The columns that identify the place of an execution.
_PLACE = "notebook_id, notebook_path, cell_name"

# By the times put right; events that were put right to the same receipt have only their claimed
# order. OFFSET 0 keeps the planner from flattening a lateral query, so that rows are read by the
# table's key, however wrong the estimates are. Nothing is joined to a derived set: the kind or the
# place of many rows is computed for the first of them and spread by a window.
_SELECT = f"""
    WITH recent AS MATERIALIZED (
        SELECT m.user_id, m.class_id, m.student_id, e.*,
            row_number() OVER (PARTITION BY e.excerpt) AS nth_alike,
            row_number() OVER (PARTITION BY m.class_id, e.alias_id, e.cell_id) AS nth_here
        FROM ({CLASS_MEMBERS}) AS m
        CROSS JOIN LATERAL (
            SELECT put_right(e.received_at, e.executed_at, e.clock_offset) AS at,
                e.executed_at, e.alias_id, e.cell_id, e.event_id, e.status = 'error' AS failed,
                CASE e.status WHEN 'error' THEN COALESCE(error_excerpt(e.error), '') END AS excerpt
            FROM cell_executions AS e
            WHERE e.student_id = m.student_id AND e.class_id = ANY ($1)
                AND e.status IN ('error', 'success') AND e.excluded IS NULL
                AND e.executed_at
                    > now() - $2::interval - m.greatest_offset * interval '1 microsecond'
            OFFSET 0
        ) AS e
        WHERE m.role = 'student' AND e.at > now() - $2
    ), looked_up AS MATERIALIZED (
        SELECT r.*, p.notebook_id AS first_notebook_id, p.notebook_path AS first_path,
            p.cell_id AS first_cell, p.cell_position AS first_position,
            CASE WHEN r.nth_alike = 1 THEN normalised_error(r.excerpt) END AS first_kind
        FROM recent AS r LEFT JOIN {
    place(
        alias="CASE WHEN r.nth_here = 1 THEN r.alias_id END",
        cell="r.cell_id",
        class_id="r.class_id",
    )
} AS p ON true
    ), placed AS MATERIALIZED (
        SELECT user_id, student_id, at, executed_at, event_id, failed,
            first_value(first_kind) OVER alike AS kind,
            first_value(first_notebook_id) OVER here AS notebook_id,
            first_value(first_path) OVER here AS notebook_path,
            first_value(first_cell) OVER here AS cell_name,
            first_value(first_position) OVER here AS cell_position
        FROM looked_up
        WINDOW alike AS (PARTITION BY excerpt ORDER BY nth_alike),
            here AS (PARTITION BY class_id, alias_id, cell_id ORDER BY nth_here)
    ), outcomes AS MATERIALIZED (
        SELECT *, NOT COALESCE(bool_or(NOT failed) OVER (
                PARTITION BY user_id, {_PLACE} ORDER BY at DESC, executed_at DESC, failed
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ), false) AS is_open
        FROM placed
    ), grouped AS (
        SELECT {_PLACE}, max(cell_position) AS cell_position, kind,
            count(*), max(at) AS last_at, array_agg(DISTINCT user_id) AS students,
            array_agg(DISTINCT user_id) FILTER (WHERE is_open) AS still,
            array_agg(GREATEST(0, LEAST($4::integer - 1, floor(
                extract(epoch FROM at - (now() - $2::interval)) / extract(epoch FROM $3::interval)
            )::integer))) AS steps,
            (array_agg(user_id ORDER BY is_open DESC, at DESC, event_id))[1] AS example_of,
            (array_agg(student_id ORDER BY is_open DESC, at DESC, event_id))[1] AS student_id,
            (array_agg(executed_at ORDER BY is_open DESC, at DESC, event_id))[1] AS executed_at,
            (array_agg(event_id ORDER BY is_open DESC, at DESC, event_id))[1] AS event_id
        FROM outcomes WHERE failed
        GROUP BY {_PLACE}, kind HAVING bool_or(is_open)
    ), shown AS (
        SELECT *, count(*) OVER () AS groups FROM grouped
        ORDER BY cardinality(still) DESC, cardinality(students) DESC, count DESC, kind LIMIT $5
    )
    SELECT g.notebook_id, g.notebook_path, g.cell_name AS cell_id, g.cell_position,
        g.kind AS error, g.count, g.last_at, g.students, g.still, g.steps, g.groups,
        g.example_of, e.example, e.code
    FROM shown AS g CROSS JOIN LATERAL (
        SELECT left(e.error, 2000) AS example, left(e.code, 2000) AS code
        FROM cell_executions AS e
        WHERE e.student_id = g.student_id AND e.executed_at = g.executed_at
            AND e.event_id = g.event_id OFFSET 0
    ) AS e
    ORDER BY cardinality(g.still) DESC, cardinality(g.students) DESC, g.count DESC, g.kind
"""  # noqa: S608 - constants
