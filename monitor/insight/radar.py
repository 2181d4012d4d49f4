"""The error radar: which errors of the last minutes a class is still at, widespread ones first."""

from datetime import datetime, timedelta
from typing import Annotated

import asyncpg
import msgspec

from monitor.database.members import CLASS_MEMBERS
from monitor.database.pool import Connection
from monitor.insight.cell_names import cell_name, named
from monitor.insight.notebook_rows import NAMED, PLACE_TEXT, placed
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
    characters each), `example_of` the user_id. `place`, `cell_id` (null at an index) and
    `cell_position` are as in the notebook's cells; `cell_title` is the first line of that code,
    `cell_heading` the nearest heading that `example_of` rendered above it.
    """

    notebook_id: int | None
    notebook_path: str | None
    cell_id: str | None
    cell_position: int | None
    cell_title: str | None
    cell_heading: str | None
    place: str | None
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
    groups = [_group(row) for row in rows]
    more = rows[0]["groups"] - len(groups) if rows else 0
    return Radar(len(students), query.minutes, groups, more)


def _group(row: asyncpg.Record) -> ErrorGroup:
    title, heading = cell_name(row["code"], None, row["named_text"])
    return ErrorGroup(
        **{name: row[name] for name in _COPIED_COLUMNS},
        cell_title=title,
        cell_heading=heading,
        students=sorted(row["students"]),
        still=sorted(row["still"]),
        trend=[row["steps"].count(number) for number in range(_TREND_STEPS)],
    )


_COPIED_COLUMNS = (
    "notebook_id",
    "notebook_path",
    "cell_id",
    "cell_position",
    "place",
    "error",
    "count",
    "last_at",
    "example_of",
    "example",
    "code",
)

_STUDENTS = f"""
    SELECT student_id AS id, true AS is_student FROM ({CLASS_MEMBERS}) AS m WHERE role = 'student'
"""  # noqa: S608 - constants
_ALIASES = "ARRAY(SELECT DISTINCT alias_id FROM recent WHERE alias_id IS NOT NULL)"
# Aliases of one path in the class and in none are of one notebook.
_NOTEBOOKS = """
    FROM notebook_aliases AS na
    JOIN notebooks AS n ON n.id = na.notebook_id
    LEFT JOIN notebooks AS own ON own.class_id = ($1::bigint[])[1] AND own.path = n.path
"""
# Looked up once for each alias, not for each of a class's cells.
_NOTEBOOK = (
    "(SELECT notebook_ids FROM aliases)"
    "[array_position((SELECT alias_ids FROM aliases), p.alias_id)]"
)
# The columns that identify the place of an execution.
_PLACE = "notebook_id, notebook_path, place_kind, place_key"

# By the times put right; events that were put right to the same receipt have only their claimed
# order. OFFSET 0 keeps the planner from flattening a lateral query, so that rows are read by the
# table's key, however wrong the estimates are. The kind or the notebook of many rows is computed
# for the first of them and spread by a window, without a join to derived rows. The one such join
# is full: the planner can only hash or merge it.
_SELECT = f"""
    WITH recent AS MATERIALIZED (
        SELECT m.user_id, m.class_id, m.student_id, e.*,
            row_number() OVER (PARTITION BY e.excerpt) AS nth_alike,
            row_number() OVER (PARTITION BY m.class_id, e.alias_id) AS nth_here
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
    ), copies AS MATERIALIZED (
        SELECT copy.notebook_id, copy.counts_for, counted.path
        FROM notebook_copies($1, ARRAY(
            SELECT COALESCE(own.id, n.id) {_NOTEBOOKS} WHERE na.id = ANY ({_ALIASES})
        )) AS copy CROSS JOIN LATERAL (
            SELECT path FROM notebooks WHERE id = copy.counts_for OFFSET 0
        ) AS counted
    ), aliases AS MATERIALIZED (
        SELECT array_agg(na.id) AS alias_ids, array_agg(COALESCE((
            SELECT counts_for FROM copies WHERE notebook_id = COALESCE(own.id, n.id)
        ), own.id, n.id)) AS notebook_ids
        {_NOTEBOOKS} WHERE na.id = ANY ({_ALIASES})
    ), in_place AS MATERIALIZED (
        SELECT student_id, id, notebook, kind, key, at, name_hash
        FROM ({placed(people=_STUDENTS, aliases=_ALIASES, notebook=_NOTEBOOK)}) AS cells
    ), looked_up AS MATERIALIZED (
        SELECT r.*, COALESCE(copy.counts_for, p.notebook_id) AS first_notebook_id,
            COALESCE(copy.path, p.notebook_path) AS first_path,
            CASE WHEN r.nth_alike = 1 THEN normalised_error(r.excerpt) END AS first_kind
        FROM recent AS r LEFT JOIN {
    place(
        alias="CASE WHEN r.nth_here = 1 THEN r.alias_id END",
        cell="NULL::bigint",
        class_id="r.class_id",
    )
} AS p ON true LEFT JOIN LATERAL (
            SELECT counts_for, path FROM copies WHERE notebook_id = p.notebook_id OFFSET 0
        ) AS copy ON true
    ), named AS MATERIALIZED (
        SELECT user_id, student_id, at, executed_at, event_id, failed, cell_id,
            first_value(first_kind) OVER alike AS error,
            first_value(first_notebook_id) OVER here AS notebook_id,
            first_value(first_path) OVER here AS notebook_path
        FROM looked_up
        WINDOW alike AS (PARTITION BY excerpt ORDER BY nth_alike),
            here AS (PARTITION BY class_id, alias_id ORDER BY nth_here)
    ), placed AS MATERIALIZED (
        SELECT * FROM (
            SELECT e.*, c.at AS place_position,
                CASE WHEN e.cell_id IS NOT NULL THEN COALESCE(c.kind, {NAMED}) END AS place_kind,
                COALESCE(c.key, e.cell_id) AS place_key,
                CASE WHEN c.id IS NULL THEN e.cell_id END AS place_name
            FROM named AS e FULL JOIN in_place AS c ON c.student_id = e.student_id
                AND c.id = e.cell_id
            OFFSET 0
        ) AS rows
        WHERE event_id IS NOT NULL  -- not a cell that was not run lately
    ), names AS MATERIALIZED (
        SELECT notebook AS notebook_id, kind AS place_kind, key AS place_key, min(id) AS place_named
        FROM in_place WHERE kind = {NAMED} AND name_hash = key GROUP BY notebook, kind, key
    ), outcomes AS MATERIALIZED (
        SELECT *, NOT COALESCE(bool_or(NOT failed) OVER (
                PARTITION BY user_id, {_PLACE} ORDER BY at DESC, executed_at DESC, failed
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ), false) AS is_open
        FROM placed
    ), grouped AS (
        SELECT {_PLACE}, max(place_position) AS cell_position, max(place_name) AS place_name, error,
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
        GROUP BY {_PLACE}, error HAVING bool_or(is_open)
    ), shown AS (
        SELECT *, count(*) OVER () AS groups FROM grouped
        ORDER BY cardinality(still) DESC, cardinality(students) DESC, count DESC, error LIMIT $5
    )
    SELECT g.notebook_id, g.notebook_path, n.name AS cell_id, g.cell_position,
        CASE WHEN c.kind IS NOT NULL THEN {
    PLACE_TEXT
} END AS place, g.error, g.count, g.last_at, g.students, g.still, g.steps, g.groups,
        g.example_of, e.example, e.code, called.named_text
    FROM (
        SELECT * FROM shown FULL JOIN names USING (notebook_id, place_kind, place_key) OFFSET 0
    ) AS g CROSS JOIN LATERAL (
        SELECT left(e.error, 2000) AS example, left(e.code, 2000) AS code, e.alias_id, e.cell_id,
            e.cell_index
        FROM cell_executions AS e
        WHERE e.student_id = g.student_id AND e.executed_at = g.executed_at
            AND e.event_id = g.event_id OFFSET 0
    ) AS e
    CROSS JOIN LATERAL (SELECT g.place_kind AS kind, g.place_key AS key) AS c
    LEFT JOIN LATERAL (
        SELECT cell_id AS name FROM cells WHERE id = COALESCE(g.place_named, g.place_name) OFFSET 0
    ) AS n ON true
    CROSS JOIN {
    named(
        student="g.student_id",
        alias="e.alias_id",
        cell="e.cell_id",
        index="e.cell_index",
        classes="$1",
    )
} AS called
    ORDER BY cardinality(g.still) DESC, cardinality(g.students) DESC, g.count DESC, g.error
"""  # noqa: S608 - constants
