"""How far each student has got in an assignment."""

from typing import Annotated

import msgspec

from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.insight.notebook_rows import ADDED, PLACED, by_student
from monitor.insight.query import class_notebook, class_students, shown_classes

_SHARE = 0.2  # of those who have run anything, who have to run a cell for it to count


class StudentProgress(msgspec.Struct):
    """`succeeded` is in how many of the assignment's cells the student had a success."""

    student_id: int
    succeeded: int
    handed_in: bool


class AssignmentProgress(msgspec.Struct):
    """Students who have run nothing and handed nothing in are left out.

    `cells` is how many cells count: those that at least a fifth of the students have run who have
    run anything, so that what one of them adds for themselves doesn't. It grows as they go on.
    """

    assignment_id: int
    class_id: int
    notebook_id: int
    title: str
    cells: int
    students: Annotated[list[StudentProgress], msgspec.Meta(description="By student_id")]


async def assignment_students(
    connection: Connection, assignment_id: int, *, is_open: bool
) -> AssignmentProgress:
    """Raises NotFound."""
    row = await connection.fetchrow(_SELECT_ASSIGNMENT, assignment_id)
    if row is None:
        raise NotFound(f"There is no assignment {assignment_id}")
    class_ids = shown_classes(row["class_id"], is_open=is_open)
    students = await class_students(connection, class_ids)
    notebook = await class_notebook(connection, class_ids, row["notebook_id"])
    rows = await connection.fetch(
        _SELECT, list(students), notebook.alias_ids, class_ids[0], _SHARE, assignment_id
    )
    return AssignmentProgress(
        **row,
        cells=rows[0]["cells"],
        students=[
            StudentProgress(each["student_id"], each["succeeded"], each["handed_in"])
            for each in rows
            if each["student_id"] is not None
        ],
    )


_SELECT_ASSIGNMENT = """
    SELECT id AS assignment_id, class_id, notebook_id, title FROM class_assignments WHERE id = $1
"""

# One row without a student where there is none.
_SELECT = f"""
    WITH placed AS MATERIALIZED ({PLACED}), run AS MATERIALIZED (
        SELECT * FROM ({by_student("placed")}) AS rows
        WHERE is_student AND executions > 0 AND kind <> {ADDED}
    ), counted AS MATERIALIZED (
        SELECT kind, key, true AS counts FROM run GROUP BY kind, key
        HAVING count(*) >= $4::float8 * (SELECT count(DISTINCT student_id) FROM run)
    ), progress AS (
        SELECT student_id,
            count(*) FILTER (WHERE counts AND first_success_at IS NOT NULL)::integer AS succeeded
        FROM (SELECT * FROM run FULL JOIN counted USING (kind, key) OFFSET 0) AS cells
        GROUP BY student_id
    ), submitted AS (
        SELECT DISTINCT student_id, true AS handed_in FROM assignment_submissions
        WHERE assignment_id = $5 AND student_id = ANY ($1::bigint[])
    )
    SELECT total.cells, student_id, COALESCE(succeeded, 0) AS succeeded,
        COALESCE(handed_in, false) AS handed_in
    FROM (SELECT count(*)::integer AS cells FROM counted) AS total
    LEFT JOIN (progress FULL JOIN submitted USING (student_id)) ON true
    ORDER BY student_id
"""  # noqa: S608 - constants
