"""Item analysis of an assignment: who solved which cell, after how many attempts and how long."""

from collections.abc import Iterable
from statistics import mean, median

import asyncpg
import msgspec

from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.insight.cell_names import CellName, best_names, most_run
from monitor.insight.notebook_rows import MAX_CELLS, MOST_REACHED, PLACE_TEXT, PLACED, by_student
from monitor.insight.query import class_notebook, class_students, shown_classes


class CellAnalysis(msgspec.Struct, kw_only=True):
    """How a class got through a cell of code that a student ran.

    `place`, `title` and `heading` are as in a notebook's cells.
    `tried` and `solved` are numbers of students; each of the others who tried is in `stuck`.
    Students are user_ids. Attempts are a student's executions up to the first success, included;
    the time, in seconds, is that from the first attempt to the first success. Both are of those who
    solved it. `handed_in_unsolved` handed the assignment in without having solved the cell.
    """

    place: str
    cell_id: str | None
    position: int | None
    title: str | None
    heading: str | None
    tried: int
    solved: int
    attempts_mean: float | None
    attempts_median: float | None
    solving_time_median: float | None
    solved_by: list[str]
    stuck: list[str]
    handed_in_unsolved: list[str]


class AssignmentAnalysis(msgspec.Struct, kw_only=True):
    """An assignment in its class, cell by cell in the notebook's order; at most 1,000 cells.

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
    ids = list(students)
    rows = await connection.fetch(_SELECT_CELLS, ids, notebook.alias_ids, class_ids[0], MAX_CELLS)
    names = await best_names(connection, class_ids, rows)
    handed_in = await connection.fetch(_SELECT_HANDED_IN, assignment_id, ids)
    grades = [row["grade"] for row in handed_in if row["grade"] is not None]
    owners = {row["student_id"] for row in handed_in}
    return AssignmentAnalysis(
        assignment_id=assignment_id,
        class_id=class_ids[0],
        notebook_id=notebook.id,
        notebook_path=notebook.path,
        title=assignment["title"],
        points=assignment["points"],
        students=len(students),
        handed_in=len(handed_in),
        late=sum(row["late"] for row in handed_in),
        graded=len(grades),
        grade_mean=round(sum(grades) / len(grades), 2) if grades else None,
        cells=[_cell(row, name, students, owners) for row, name in zip(rows, names, strict=True)],
    )


def _cell(
    row: asyncpg.Record, name: CellName, students: dict[int, str], owners: set[int]
) -> CellAnalysis:
    def user_ids(ids: Iterable[int]) -> list[str]:
        return sorted(students[student_id] for student_id in ids)

    attempts, times = row["attempts"], row["times"]
    return CellAnalysis(
        place=row["place"],
        cell_id=row["cell_id"],
        position=row["position"],
        title=name.title,
        heading=name.heading,
        tried=len(row["solved_by"]) + len(row["stuck"]),
        solved=len(row["solved_by"]),
        attempts_mean=round(mean(attempts), 2) if attempts else None,
        attempts_median=float(median(attempts)) if attempts else None,
        solving_time_median=round(median(times), 1) if times else None,
        solved_by=user_ids(row["solved_by"]),
        stuck=user_ids(row["stuck"]),
        handed_in_unsolved=user_ids(owners - set(row["solved_by"])),
    )


_SELECT_ASSIGNMENT = """
    SELECT class_id, notebook_id, title, points FROM class_assignments WHERE id = $1
"""

# The first attempt is the first error or success. Where somebody has several cells at a place, the
# earliest of either counts.
_SELECT_CELLS = f"""
    WITH placed AS MATERIALIZED (
        SELECT * FROM ({PLACED}) AS p WHERE is_student AND executions > 0
    ), begun AS MATERIALIZED (
        SELECT student_id, kind, key, min(LEAST(first_error_at, first_success_at)) AS first_at
        FROM placed GROUP BY student_id, kind, key
    ), counted AS (
        SELECT kind, key, min(named) AS named, min(at) AS position,
            array_agg(student_id) FILTER (WHERE first_success_at IS NOT NULL) AS solved_by,
            array_agg(student_id) FILTER (WHERE first_success_at IS NULL) AS stuck,
            array_agg(errors_before_success + 1) FILTER (WHERE first_success_at IS NOT NULL)
                AS attempts,
            array_agg(extract(epoch FROM first_success_at - first_at)::float)
                FILTER (WHERE first_success_at IS NOT NULL) AS times
        FROM ({by_student("placed")}) AS by_student FULL JOIN begun USING (student_id, kind, key)
        GROUP BY kind, key ORDER BY {MOST_REACHED} LIMIT $4
    ), best AS ({most_run("placed")})
    SELECT {PLACE_TEXT} AS place, name AS cell_id, position,
        COALESCE(solved_by, '{{}}') AS solved_by, COALESCE(stuck, '{{}}') AS stuck, attempts, times,
        named_student, named_alias, named_cell, named_index
    FROM (SELECT * FROM counted FULL JOIN best USING (kind, key) OFFSET 0) AS c
    LEFT JOIN LATERAL (SELECT cell_id AS name FROM cells WHERE id = c.named OFFSET 0) AS n ON true
    WHERE solved_by IS NOT NULL OR stuck IS NOT NULL
    ORDER BY position, kind, key
"""  # noqa: S608 - constants

_SELECT_HANDED_IN = """
    SELECT DISTINCT ON (student_id) student_id, grade, late FROM assignment_submissions
    WHERE assignment_id = $1 AND student_id = ANY ($2::bigint[])
    ORDER BY student_id, attempt DESC
"""
