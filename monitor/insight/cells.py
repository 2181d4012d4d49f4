"""A notebook in a class, cell by cell: how far the students got, and their errors."""

from statistics import median
from typing import Annotated, Any

import msgspec

from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.insight.cell_names import BEST_COLUMNS, CellName, best_names, most_run
from monitor.insight.notebook_rows import MAX_CELLS, MOST_REACHED, PLACE_TEXT, PLACED, by_student
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
    count as 1.

    `place` is `id:` and the cell's id; `index:3` where the ids are random and the cell is at that
    index; `added:3` for cells that students put before it. Only the first has a `cell_id`.
    `position` is the index that most students have, from 0; null if none is known. `title` is the
    first line of the code that most have there, `heading` the nearest one that a student with that
    code rendered above.
    """

    place: str
    cell_id: str | None
    type: str | None
    position: int | None
    title: str | None
    heading: str | None
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
    """A notebook in a class. `students` is their number; the cells are in the notebook's order.

    `more_cells` is how many are left out of an answer of 1,000: those that fewest have reached.
    """

    class_id: int
    notebook_id: int
    notebook_path: str
    students: int
    cells: list[CellProgress]
    more_cells: int = 0


async def notebook_progress(
    connection: Connection, class_ids: ClassIds, notebook_id: int, query: CellsQuery
) -> NotebookProgress:
    """The cells that somebody on the roster has reached, staff included, who aren't counted.

    Raises NotFound.
    """
    students = await class_students(connection, class_ids)
    notebook = await class_notebook(connection, class_ids, notebook_id)
    rows = await connection.fetch(
        _SELECT_CELLS, list(students), notebook.alias_ids, class_ids[0], query.errors, MAX_CELLS
    )
    more = rows[0]["total"] - len(rows) if rows else 0
    names = await best_names(connection, class_ids, rows)
    cells = [_progress(dict(row), name, students) for row, name in zip(rows, names, strict=True)]
    return NotebookProgress(
        class_ids[0], notebook.id, notebook.path, len(students), cells, more_cells=more
    )


async def assignment_progress(
    connection: Connection, assignment_id: int, query: CellsQuery, *, is_open: bool
) -> NotebookProgress:
    """Raises NotFound."""
    row = await connection.fetchrow(_SELECT_ASSIGNMENT, assignment_id)
    if row is None:
        raise NotFound(f"There is no assignment {assignment_id}")
    class_ids = shown_classes(row["class_id"], is_open=is_open)
    return await notebook_progress(connection, class_ids, row["notebook_id"], query)


class _Error(msgspec.Struct):
    """An error of a cell as the query has it: `students` are ids."""

    error: str
    count: int
    students: list[int]


def _progress(row: dict[str, Any], name: CellName, students: dict[int, str]) -> CellProgress:
    for column in ("total", *BEST_COLUMNS):
        del row[column]
    buckets = unpack(row.pop("durations"))
    attempts = row.pop("attempts")
    errors = msgspec.json.decode(row.pop("frequent_errors") or "[]", type=list[_Error])
    return CellProgress(
        **row,
        title=name.title,
        heading=name.heading,
        attempts_median=float(median(attempts)) if attempts else None,
        duration_median_ms=percentile(buckets, 0.5),
        duration_p90_ms=percentile(buckets, 0.9),
        frequent_errors=[
            CellError(each.error, each.count, sorted(map(students.__getitem__, each.students)))
            for each in errors
        ],
    )


_SELECT_ASSIGNMENT = "SELECT class_id, notebook_id FROM class_assignments WHERE id = $1"

# Errors are read by student, then joined to the places of their cells, and grouped twice: counting
# the distinct would sort texts.
_SELECT_CELLS = f"""
    WITH placed AS MATERIALIZED ({PLACED}), met AS (
        SELECT kind, key, error, student_id, sum(count) AS count FROM (
            SELECT kind, key, error, student_id, count
            FROM (
                SELECT kind, key, student_id, alias_id, id FROM placed
                WHERE is_student AND errors > 0 AND $4::integer > 0
            ) AS p FULL JOIN (
                SELECT e.* FROM unnest($1::bigint[]) AS student (id) CROSS JOIN LATERAL (
                    SELECT student_id, alias_id, cell_id AS id, error, count FROM cell_errors
                    WHERE student_id = student.id AND alias_id = ANY ($2) AND $4 > 0 OFFSET 0
                ) AS e
            ) AS e USING (student_id, alias_id, id) OFFSET 0
        ) AS errors
        WHERE kind IS NOT NULL AND error IS NOT NULL GROUP BY kind, key, error, student_id
    ), errors AS (
        SELECT kind, key, error, sum(count)::bigint AS count, array_agg(student_id) AS students,
            row_number() OVER (
                PARTITION BY kind, key ORDER BY count(*) DESC, sum(count) DESC, error
            ) AS rank
        FROM met GROUP BY kind, key, error
    ), frequent AS (
        SELECT kind, key, json_agg(
            json_build_object('error', error, 'count', count, 'students', students) ORDER BY rank
        )::text AS frequent_errors
        FROM errors WHERE rank <= $4 GROUP BY kind, key
    ), counted AS (
        SELECT kind, key, min(named) AS named,
            CASE WHEN count(type) > 0
                    AND 2 * count(*) FILTER (WHERE type = 'code') >= count(type)
                THEN 'code' ELSE max(NULLIF(type, 'code')) END AS type,
            min(at) AS position,
            count(*) FILTER (WHERE is_student) AS reached,
            count(*) FILTER (WHERE is_student AND executions > 0) AS ran,
            count(*) FILTER (WHERE is_student AND errors > 0) AS failed,
            count(first_success_at) FILTER (WHERE is_student) AS succeeded,
            COALESCE(sum(executions) FILTER (WHERE is_student), 0)::bigint AS executions,
            COALESCE(sum(errors) FILTER (WHERE is_student), 0)::bigint AS errors,
            round(avg(errors_before_success + 1)
                  FILTER (WHERE is_student AND first_success_at IS NOT NULL), 2)::float
                AS attempts_mean,
            array_agg(errors_before_success + 1)
                FILTER (WHERE is_student AND first_success_at IS NOT NULL) AS attempts,
            COALESCE(sum(durations) FILTER (WHERE is_student), 0)::text AS durations,
            count(*) OVER () AS total
        FROM ({by_student("placed")}) AS by_student GROUP BY kind, key
        ORDER BY {MOST_REACHED} LIMIT $5
    ), best AS ({most_run("placed")})
    SELECT {PLACE_TEXT} AS place, name AS cell_id, type, position, reached, ran, failed, succeeded,
        executions, errors, attempts_mean, attempts, durations, total, frequent_errors,
        named_student, named_alias, named_cell, named_index
    FROM (
        SELECT * FROM counted FULL JOIN frequent USING (kind, key)
        FULL JOIN best USING (kind, key) OFFSET 0
    ) AS c
    LEFT JOIN LATERAL (SELECT cell_id AS name FROM cells WHERE id = c.named OFFSET 0) AS n ON true
    WHERE reached IS NOT NULL ORDER BY position, kind, key
"""  # noqa: S608 - constants
