"""A notebook in a class, cell by cell: how far the students got, and their errors."""

from collections import defaultdict
from typing import Annotated, Any

import msgspec

from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.insight.notebook_rows import CELLS, CELLS_BY_STUDENT
from monitor.insight.packed_counts import percentile, unpack
from monitor.insight.query import (
    ClassIds,
    Query,
    class_notebook,
    class_students,
    shown_classes,
)


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
    the cell, an execution, a failed one, a successful one. Rendering a Markdown or raw cell is no
    execution. `executions` and `errors` are those of all students. `attempts` are a student's
    executions up to the first success, included. Durations are in ms, within 5 %; those below 1 ms
    count as 1. `position` is the cell's index in the notebook, from 0.
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
    connection: Connection, class_ids: ClassIds, notebook_id: int, query: CellsQuery
) -> NotebookProgress:
    """The cells that somebody on the roster has reached, staff included, who aren't counted.

    Raises NotFound.
    """
    students = await class_students(connection, class_ids)
    notebook = await class_notebook(connection, class_ids, notebook_id)
    ids, aliases = list(students), notebook.alias_ids
    rows = await connection.fetch(_SELECT_CELLS, ids, aliases, class_ids[0])
    error_rows = await connection.fetch(_SELECT_ERRORS, ids, aliases, query.errors)
    errors: defaultdict[str, list[CellError]] = defaultdict(list)
    for row in error_rows:
        user_ids = sorted(students[student_id] for student_id in row["students"])
        errors[row["cell_id"]].append(CellError(row["error"], row["count"], user_ids))
    cells = [_progress(dict(row), errors[row["cell_id"]]) for row in rows]
    return NotebookProgress(class_ids[0], notebook_id, notebook.path, len(students), cells)


async def assignment_progress(
    connection: Connection, assignment_id: int, query: CellsQuery, *, is_open: bool
) -> NotebookProgress:
    """Raises NotFound."""
    row = await connection.fetchrow(_SELECT_ASSIGNMENT, assignment_id)
    if row is None:
        raise NotFound(f"There is no assignment {assignment_id}")
    class_ids = shown_classes(row["class_id"], is_open=is_open)
    return await notebook_progress(connection, class_ids, row["notebook_id"], query)


def _progress(row: dict[str, Any], errors: list[CellError]) -> CellProgress:
    buckets = unpack(row.pop("durations"))
    return CellProgress(
        **row,
        duration_median_ms=percentile(buckets, 0.5),
        duration_p90_ms=percentile(buckets, 0.9),
        frequent_errors=errors,
    )


_SELECT_ASSIGNMENT = "SELECT class_id, notebook_id FROM class_assignments WHERE id = $1"

_SELECT_CELLS = f"""
    SELECT c.cell_id, c.type, c.position,
        COALESCE(p.reached, 0) AS reached, COALESCE(p.ran, 0) AS ran,
        COALESCE(p.failed, 0) AS failed, COALESCE(p.succeeded, 0) AS succeeded,
        COALESCE(p.executions, 0) AS executions, COALESCE(p.errors, 0) AS errors,
        p.attempts_mean, p.attempts_median, COALESCE(p.durations, '0') AS durations
    FROM ({CELLS}) AS c LEFT JOIN (
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
        FROM ({CELLS_BY_STUDENT}) AS by_student GROUP BY cell_id
    ) AS p USING (cell_id)
    WHERE p.reached > 0 OR cell_id IN (
        SELECT reached.cell_id FROM student_classes AS staff CROSS JOIN LATERAL (
            SELECT c.cell_id FROM cell_progress AS p JOIN cells AS c ON c.id = p.cell_id
            WHERE p.student_id = staff.student_id AND p.alias_id = ANY ($2) OFFSET 0
        ) AS reached
        WHERE staff.class_id = $3 AND staff.role IN ('teacher', 'assistant')
    )
    ORDER BY c.position NULLS LAST, c.cell_id
"""  # noqa: S608 - constants

_SELECT_ERRORS = """
    SELECT cell_id, error, count, students FROM (
        SELECT c.cell_id, e.error, sum(e.count)::bigint AS count,
            array_agg(DISTINCT e.student_id) AS students,
            row_number() OVER (
                PARTITION BY c.cell_id
                ORDER BY count(DISTINCT e.student_id) DESC, sum(e.count) DESC, e.error
            ) AS rank
        FROM unnest($1::bigint[]) AS person (id)
        CROSS JOIN LATERAL (
            SELECT * FROM cell_errors
            WHERE student_id = person.id AND alias_id = ANY ($2::bigint[]) OFFSET 0
        ) AS e JOIN cells AS c ON c.id = e.cell_id
        GROUP BY c.cell_id, e.error
    ) AS ranked
    WHERE rank <= $3 ORDER BY cell_id, rank
"""
