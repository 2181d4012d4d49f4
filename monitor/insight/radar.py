"""The error radar: the errors of a class in the last minutes, widespread ones first."""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from monitor.database.reads import Reads
from monitor.insight.query import Query, class_students

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


async def error_radar(reads: Reads, class_id: int, query: RadarQuery) -> Radar:
    """Up to 20 groups, those of most students first. Raises NotFound."""
    students = await class_students(reads, class_id)
    window = timedelta(minutes=query.minutes)
    step = window / _TREND_STEPS
    rows = await reads.fetch(_SELECT, list(students), window, step, _TREND_STEPS, _MAX_GROUPS)
    groups = [
        ErrorGroup(
            **{name: row[name] for name in _COPIED_COLUMNS},
            students=sorted(students[student_id] for student_id in row["student_ids"]),
            trend=[row["steps"].count(number) for number in range(_TREND_STEPS)],
            example_of=students[row["example_id"]],
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
    "example",
    "code",
)

# By the server's clock: each student's times are corrected by the skew of their last batch.
# OFFSET 0 keeps the planner from flattening the lateral query, so that each student's errors are
# read by the table's key, however wrong the estimates are.
_SELECT = """
    WITH recent AS MATERIALIZED (
        SELECT e.*, normalised_error(left(e.error, 500)) AS kind FROM students AS s
        CROSS JOIN LATERAL (
            SELECT e.student_id, e.notebook_id, e.cell_id, e.event_id,
                e.executed_at + COALESCE(s.clock_skew, '0') AS at, e.error, e.code
            FROM cell_executions AS e
            WHERE e.student_id = s.id AND e.status = 'error'
                AND e.executed_at > now() - $2::interval - COALESCE(s.clock_skew, '0') OFFSET 0
        ) AS e
        WHERE s.id = ANY ($1::bigint[])
    ), grouped AS (
        SELECT notebook_id, cell_id, kind, count(*), max(at) AS last_at,
            array_agg(DISTINCT student_id) AS student_ids,
            array_agg(GREATEST(0, LEAST($4::integer - 1, floor(
                extract(epoch FROM at - (now() - $2::interval)) / extract(epoch FROM $3::interval)
            )::integer))) AS steps,
            (array_agg(event_id ORDER BY at DESC))[1] AS example_event,
            (array_agg(student_id ORDER BY at DESC))[1] AS example_id
        FROM recent GROUP BY notebook_id, cell_id, kind
        ORDER BY cardinality(array_agg(DISTINCT student_id)) DESC, count(*) DESC, kind LIMIT $5
    )
    SELECT g.notebook_id, n.path AS notebook_path, c.cell_id, c.position AS cell_position,
        COALESCE(g.kind, 'Error') AS error, g.count, g.last_at, g.student_ids, g.steps,
        g.example_id, left(e.error, 2000) AS example, left(e.code, 2000) AS code
    FROM grouped AS g
    JOIN recent AS e ON e.event_id = g.example_event AND e.student_id = g.example_id
    LEFT JOIN notebooks AS n ON n.id = g.notebook_id
    LEFT JOIN cells AS c ON c.id = g.cell_id
    ORDER BY cardinality(g.student_ids) DESC, g.count DESC, error
"""
