"""The error radar: what errors a class has met in the last minutes, widespread ones first."""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from monitor.database.reads import Reads
from monitor.insight.question import Question
from monitor.insight.roster import members

_TENTHS = 10  # of the time looked at, for the trend
_MOST = 20  # groups


class RadarQuery(Question, frozen=True, kw_only=True):
    """`minutes`: how far to look back."""

    minutes: Annotated[int, msgspec.Meta(ge=1, le=60)] = 10


class ErrorGroup(msgspec.Struct, kw_only=True):
    """Errors of one kind in one cell, without what differs from student to student.

    `students` are user_ids. `trend` are the errors in each tenth of the time, the oldest first.
    `example` is the text of the last of them and `code` what raised it, up to 2,000 characters.
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
    """`students` is how many the class has."""

    students: int
    minutes: int
    groups: list[ErrorGroup]


async def error_radar(reads: Reads, class_id: int, query: RadarQuery) -> Radar:
    """The 20 groups that most students have met, at most. Raises NotFound."""
    students = await members(reads, class_id)
    window = timedelta(minutes=query.minutes)
    rows = await reads.fetch(_SELECT, list(students), window, window / _TENTHS, _TENTHS, _MOST)
    groups = [
        ErrorGroup(
            **{name: row[name] for name in _AS_THEY_ARE},
            students=sorted(students[each] for each in row["student_ids"]),
            trend=[row["tenths"].count(tenth) for tenth in range(_TENTHS)],
            example_of=students[row["example_id"]],
        )
        for row in rows
    ]
    return Radar(len(students), query.minutes, groups)


_AS_THEY_ARE = (
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

# By the server's clock: the student's is put right by what it was off at their last batch.
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
            )::integer))) AS tenths,
            (array_agg(event_id ORDER BY at DESC))[1] AS example_event,
            (array_agg(student_id ORDER BY at DESC))[1] AS example_id
        FROM recent GROUP BY notebook_id, cell_id, kind
        ORDER BY cardinality(array_agg(DISTINCT student_id)) DESC, count(*) DESC, kind LIMIT $5
    )
    SELECT g.notebook_id, n.path AS notebook_path, c.cell_id, c.position AS cell_position,
        COALESCE(g.kind, 'Error') AS error, g.count, g.last_at, g.student_ids, g.tenths,
        g.example_id, left(e.error, 2000) AS example, left(e.code, 2000) AS code
    FROM grouped AS g
    JOIN recent AS e ON e.event_id = g.example_event AND e.student_id = g.example_id
    LEFT JOIN notebooks AS n ON n.id = g.notebook_id
    LEFT JOIN cells AS c ON c.id = g.cell_id
    ORDER BY cardinality(g.student_ids) DESC, g.count DESC, error
"""
