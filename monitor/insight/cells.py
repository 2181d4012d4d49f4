"""A notebook in a class, cell by cell: how far the students got, and their errors."""

import asyncio
from collections import defaultdict
from typing import Annotated, Any

import msgspec

from monitor.database.reads import Reads
from monitor.errors import NotFound
from monitor.insight.packed_counts import percentile, unpack
from monitor.insight.query import Query, class_students


class CellsQuery(Query, frozen=True, kw_only=True):
    """`errors`: how many of a cell's most frequent errors to show."""

    errors: Annotated[int, msgspec.Meta(ge=0, le=20)] = 3


class CellError(msgspec.Struct):
    """An error of a cell, its variable parts as `…`, how often it was met, and by whom."""

    error: str
    count: int
    students: list[str]  # user_ids


class CellProgress(msgspec.Struct):
    """A class's progress in a cell.

    `reached`, `ran`, `failed` and `succeeded` are numbers of students: those with any event of
    the cell, an execution, a failed one, a successful one. `executions` and `errors` are those of
    all students. `attempts` are a student's executions up to the first success, included.
    Durations are in ms, within 5 %; those below 1 ms count as 1. `position` is the cell's index in
    the notebook, from 0.
    """

    cell_id: str
    type: str | None
    position: int | None
    reached: int
    ran: int
    failed: int
    succeeded: int
    executions: int
    errors: int
    attempts_mean: float | None
    attempts_median: float | None
    duration_median_ms: float | None
    duration_p90_ms: float | None
    frequent_errors: list[CellError]


class NotebookProgress(msgspec.Struct):
    """A notebook in a class. `students` is their number; the cells are in the notebook's order."""

    class_id: int
    notebook_id: int
    notebook_path: str
    students: int
    cells: list[CellProgress]


async def notebook_progress(
    reads: Reads, class_id: int, notebook_id: int, query: CellsQuery
) -> NotebookProgress:
    """Raises NotFound."""
    await reads.ensure_counted()
    students = await class_students(reads, class_id)
    path = await reads.fetchval("SELECT path FROM notebooks WHERE id = $1", notebook_id)
    if path is None:
        raise NotFound(f"There is no notebook {notebook_id}")
    ids = list(students)
    rows, error_rows = await asyncio.gather(
        reads.fetch(_SELECT_CELLS, ids, notebook_id),
        reads.fetch(_SELECT_ERRORS, ids, notebook_id, query.errors),
    )
    errors: defaultdict[int, list[CellError]] = defaultdict(list)
    for row in error_rows:
        user_ids = sorted(students[student_id] for student_id in row["students"])
        errors[row["id"]].append(CellError(row["error"], row["count"], user_ids))
    cells = [_progress(dict(row), errors[row["id"]]) for row in rows]
    return NotebookProgress(class_id, notebook_id, path, len(students), cells)


async def assignment_progress(
    reads: Reads, assignment_id: int, query: CellsQuery
) -> NotebookProgress:
    """Raises NotFound."""
    row = await reads.fetchrow(_SELECT_ASSIGNMENT, assignment_id)
    if row is None:
        raise NotFound(f"There is no assignment {assignment_id}")
    return await notebook_progress(reads, row["class_id"], row["notebook_id"], query)


def _progress(row: dict[str, Any], errors: list[CellError]) -> CellProgress:
    buckets = unpack(row.pop("durations"))
    del row["id"]
    return CellProgress(
        **row,
        duration_median_ms=percentile(buckets, 0.5),
        duration_p90_ms=percentile(buckets, 0.9),
        frequent_errors=errors,
    )


_SELECT_ASSIGNMENT = "SELECT class_id, notebook_id FROM class_assignments WHERE id = $1"

_SELECT_CELLS = """
    SELECT c.id, c.cell_id, c.type, c.position,
        COALESCE(p.reached, 0) AS reached, COALESCE(p.ran, 0) AS ran,
        COALESCE(p.failed, 0) AS failed, COALESCE(p.succeeded, 0) AS succeeded,
        COALESCE(p.executions, 0) AS executions, COALESCE(p.errors, 0) AS errors,
        p.attempts_mean, p.attempts_median, COALESCE(p.durations, '0') AS durations
    FROM cells AS c LEFT JOIN (
        SELECT cell_id, count(*) AS reached,
            count(*) FILTER (WHERE executions > 0) AS ran,
            count(*) FILTER (WHERE errors > 0) AS failed,
            count(first_success_at) AS succeeded,
            sum(executions)::bigint AS executions,
            sum(errors)::bigint AS errors,
            round(avg(errors_before_success + 1)
                  FILTER (WHERE first_success_at IS NOT NULL), 2)::float AS attempts_mean,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY errors_before_success + 1)
                FILTER (WHERE first_success_at IS NOT NULL) AS attempts_median,
            sum(durations)::text AS durations
        FROM cell_progress
        WHERE student_id = ANY ($1::bigint[]) AND notebook_id = $2
        GROUP BY cell_id
    ) AS p ON p.cell_id = c.id
    WHERE c.notebook_id = $2
    ORDER BY c.position NULLS LAST, c.cell_id
"""

_SELECT_ERRORS = """
    SELECT cell_id AS id, error, count, students FROM (
        SELECT cell_id, error, sum(count)::bigint AS count, array_agg(student_id) AS students,
            row_number() OVER (
                PARTITION BY cell_id ORDER BY count(*) DESC, sum(count) DESC, error
            ) AS rank
        FROM cell_errors
        WHERE student_id = ANY ($1::bigint[]) AND notebook_id = $2
        GROUP BY cell_id, error
    ) AS ranked
    WHERE rank <= $3 ORDER BY cell_id, rank
"""
