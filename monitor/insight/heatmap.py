"""A notebook in a class, student by student and cell by cell."""

import msgspec

from monitor.database.paging import Limit, Listing, Skip
from monitor.database.pool import Connection
from monitor.insight.notebook_rows import MAX_CELLS, MOST_REACHED, PLACE_TEXT, PLACED, by_student
from monitor.insight.query import ClassIds, Query, class_notebook, class_students


class StudentCellsQuery(Query, frozen=True, kw_only=True):
    """A page of students, by user_id."""

    skip: Skip = 0
    limit: Limit = 500


class StudentCell(msgspec.Struct):
    """A cell that a student has reached; `place` is that of the class's cells.

    `attempts` are the executions up to the first success.
    """

    student_id: int
    place: str
    cell_id: str | None
    executions: int
    errors: int
    succeeded: bool
    attempts: int | None


async def student_cells(
    connection: Connection, class_ids: ClassIds, notebook_id: int, query: StudentCellsQuery
) -> Listing[StudentCell]:
    """Only cells that were reached, by student and the notebook's order; the total is of students.

    Of more than 1,000 cells, those that most students reached. Raises NotFound.
    """
    students = await class_students(connection, class_ids)
    notebook = await class_notebook(connection, class_ids, notebook_id)
    ids = list(students)
    page = ids[query.skip : query.skip + query.limit]
    rows = await connection.fetch(_SELECT, ids, notebook.alias_ids, class_ids[0], MAX_CELLS, page)
    return Listing([StudentCell(**row) for row in rows], len(students))


_SELECT = f"""
    WITH placed AS MATERIALIZED ({PLACED}), by_student AS MATERIALIZED ({by_student("placed")}),
    counted AS (
        SELECT kind, key, name, position, rank FROM (
            SELECT kind, key, min(named) AS named, min(at) AS position,
                row_number() OVER (ORDER BY {MOST_REACHED}) AS rank
            FROM by_student GROUP BY kind, key
        ) AS c
        LEFT JOIN LATERAL (SELECT cell_id AS name FROM cells WHERE id = c.named OFFSET 0) AS n
            ON true
    )
    SELECT student_id, {PLACE_TEXT} AS place, name AS cell_id, executions, errors,
        first_success_at IS NOT NULL AS succeeded,
        CASE WHEN first_success_at IS NOT NULL THEN errors_before_success + 1 END AS attempts
    FROM (SELECT * FROM by_student FULL JOIN counted USING (kind, key) OFFSET 0) AS c
    WHERE is_student AND rank <= $4 AND student_id = ANY ($5::bigint[])
    ORDER BY student_id, position, kind, key
"""  # noqa: S608 - constants
