"""Item analysis of an assignment: who solved which cell, after how many attempts and how long."""

from collections.abc import Iterable

import asyncpg
import msgspec

from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.insight.notebook_rows import CELLS, CELLS_BY_STUDENT
from monitor.insight.query import class_notebook, class_students, shown_classes


class CellAnalysis(msgspec.Struct, kw_only=True):
    """How a class got through a cell of code that somebody ran.

    `tried` and `solved` are numbers of students; each of the others who tried is in `stuck`.
    Students are user_ids. Attempts are a student's executions up to the first success, included;
    the time, in seconds, is that from the first attempt to the first success. Both are of those who
    solved it. `handed_in_unsolved` handed the assignment in without having solved the cell.
    """

    place: str
    cell_id: str
    position: int | None
    tried: int
    solved: int
    attempts_mean: float | None
    attempts_median: float | None
    solving_time_median: float | None
    solved_by: list[str]
    stuck: list[str]
    handed_in_unsolved: list[str]


class AssignmentAnalysis(msgspec.Struct, kw_only=True):
    """An assignment in its class, cell by cell in the notebook's order.

    `students` is how many the class has. `handed_in`, `late` and `graded` are numbers of students,
    by the last thing that each handed in; so is the grade's mean.
    """

    assignment_id: int
    class_id: int
    notebook_id: int
    notebook_path: str
    title: str
    points: float | None
    students: int
    handed_in: int
    late: int
    graded: int
    grade_mean: float | None
    cells: list[CellAnalysis]


async def assignment_analysis(
    connection: Connection, assignment_id: int, *, is_open: bool
) -> AssignmentAnalysis:
    """Of today's students of the class. Raises NotFound."""
    assignment = await connection.fetchrow(_SELECT_ASSIGNMENT, assignment_id)
    if assignment is None:
        raise NotFound(f"There is no assignment {assignment_id}")
    class_ids = shown_classes(assignment["class_id"], is_open=is_open)
    students = await class_students(connection, class_ids)
    notebook = await class_notebook(connection, class_ids, assignment["notebook_id"])
    ids, aliases = list(students), notebook.alias_ids
    # Two queries: a join of both would hang on estimates of either's rows.
    placed = await connection.fetch(_SELECT_CELLS, ids, aliases)
    rows = {row["cell_id"]: row for row in await connection.fetch(_SELECT_COUNTS, ids, aliases)}
    handed_in = await connection.fetch(_SELECT_HANDED_IN, assignment_id, ids)
    grades = [row["grade"] for row in handed_in if row["grade"] is not None]
    owners = {row["student_id"] for row in handed_in}
    return AssignmentAnalysis(
        assignment_id=assignment_id,
        **assignment,
        notebook_path=notebook.path,
        students=len(students),
        handed_in=len(handed_in),
        late=sum(row["late"] for row in handed_in),
        graded=len(grades),
        grade_mean=round(sum(grades) / len(grades), 2) if grades else None,
        cells=[
            _cell(cell, rows[cell["cell_id"]], students, owners)
            for cell in placed
            if cell["cell_id"] in rows
        ],
    )


def _cell(
    cell: asyncpg.Record, counts: asyncpg.Record, students: dict[int, str], owners: set[int]
) -> CellAnalysis:
    def names(ids: Iterable[int]) -> list[str]:
        return sorted(students[student_id] for student_id in ids)

    return CellAnalysis(
        place=f"id:{cell['cell_id']}",
        cell_id=cell["cell_id"],
        position=cell["position"],
        tried=counts["tried"],
        solved=len(counts["solved_by"]),
        attempts_mean=counts["attempts_mean"],
        attempts_median=counts["attempts_median"],
        solving_time_median=counts["solving_time_median"],
        solved_by=names(counts["solved_by"]),
        stuck=names(counts["stuck"]),
        handed_in_unsolved=names(owners - set(counts["solved_by"])),
    )


_SELECT_ASSIGNMENT = """
    SELECT class_id, notebook_id, title, points FROM class_assignments WHERE id = $1
"""

_SELECT_CELLS = f"""
    SELECT cell_id, position FROM ({CELLS}) AS c
    WHERE $1::bigint[] IS NOT NULL  -- the counts' parameters
    ORDER BY position NULLS LAST, cell_id
"""  # noqa: S608 - constants

_SELECT_COUNTS = f"""
    SELECT cell_id, count(*) AS tried,
        COALESCE(array_agg(student_id) FILTER (WHERE first_success_at IS NOT NULL), '{{}}')
            AS solved_by,
        COALESCE(array_agg(student_id) FILTER (WHERE first_success_at IS NULL), '{{}}') AS stuck,
        round(avg(errors_before_success + 1)
              FILTER (WHERE first_success_at IS NOT NULL), 2)::float AS attempts_mean,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY errors_before_success + 1)
            FILTER (WHERE first_success_at IS NOT NULL) AS attempts_median,
        round(percentile_cont(0.5) WITHIN GROUP (
            ORDER BY extract(epoch FROM first_success_at - first_attempt_at)
        ) FILTER (WHERE first_success_at IS NOT NULL)::numeric, 1)::float AS solving_time_median
    FROM ({CELLS_BY_STUDENT}) AS by_student WHERE executions > 0 GROUP BY cell_id
"""  # noqa: S608 - constants

_SELECT_HANDED_IN = """
    SELECT DISTINCT ON (student_id) student_id, grade, late FROM assignment_submissions
    WHERE assignment_id = $1 AND student_id = ANY ($2::bigint[])
    ORDER BY student_id, attempt DESC
"""
