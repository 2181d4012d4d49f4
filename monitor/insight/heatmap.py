"""A notebook in a class, student by student and cell by cell."""

import msgspec

from monitor.database.reads import Reads
from monitor.errors import NotFound
from monitor.insight.query import class_students


class StudentCell(msgspec.Struct):
    """A cell that a student has reached. `attempts` are the executions up to the first success."""

    student_id: int
    cell_id: str
    executions: int
    errors: int
    succeeded: bool
    attempts: int | None


async def student_cells(reads: Reads, class_id: int, notebook_id: int) -> list[StudentCell]:
    """Only cells that were reached, by student and the notebook's order. Raises NotFound."""
    await reads.ensure_counted()
    students = await class_students(reads, class_id)
    if await reads.fetchval("SELECT id FROM notebooks WHERE id = $1", notebook_id) is None:
        raise NotFound(f"There is no notebook {notebook_id}")
    rows = await reads.fetch(_SELECT, list(students), notebook_id)
    return [StudentCell(**row) for row in rows]


_SELECT = """
    SELECT p.student_id, c.cell_id, p.executions, p.errors,
        p.first_success_at IS NOT NULL AS succeeded,
        CASE WHEN p.first_success_at IS NOT NULL THEN p.errors_before_success + 1 END AS attempts
    FROM cell_progress AS p JOIN cells AS c ON c.id = p.cell_id
    WHERE p.student_id = ANY ($1::bigint[]) AND p.notebook_id = $2
    ORDER BY p.student_id, c.position NULLS LAST, c.cell_id
"""
