"""A notebook in a class, student by student and cell by cell."""

import msgspec

from monitor.database.pool import Connection
from monitor.insight.notebook_rows import CELLS, CELLS_BY_STUDENT
from monitor.insight.query import ClassIds, class_notebook, class_students


class StudentCell(msgspec.Struct):
    """A cell that a student has reached. `attempts` are the executions up to the first success."""

    student_id: int
    cell_id: str
    executions: int
    errors: int
    succeeded: bool
    attempts: int | None


async def student_cells(
    connection: Connection, class_ids: ClassIds, notebook_id: int
) -> list[StudentCell]:
    """Only cells that were reached, by student and the notebook's order. Raises NotFound."""
    students = await class_students(connection, class_ids)
    notebook = await class_notebook(connection, class_ids, notebook_id)
    rows = await connection.fetch(_SELECT, list(students), notebook.alias_ids)
    return [StudentCell(**row) for row in rows]


_SELECT = f"""
    SELECT p.student_id, cell_id, p.executions, p.errors,
        p.first_success_at IS NOT NULL AS succeeded,
        CASE WHEN p.first_success_at IS NOT NULL THEN p.errors_before_success + 1 END AS attempts
    FROM ({CELLS_BY_STUDENT}) AS p JOIN ({CELLS}) AS c USING (cell_id)
    ORDER BY p.student_id, c.position NULLS LAST, cell_id
"""  # noqa: S608 - constants
