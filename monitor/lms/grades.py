"""The grades of a class: of each student's latest attempt that has one."""

from datetime import datetime
from typing import Literal

import asyncpg
import msgspec

from monitor.database.members import members
from monitor.errors import Detail, InvalidBody
from monitor.lms.assignments import ASSIGNMENTS
from monitor.lms.classes import CLASSES

GradesFormat = Literal["json", "csv", "moodle", "canvas", "nbgrader"]

_MAX_GRADES = 100_000


class GradesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`format`: `json`; `csv` for spreadsheets; or a file that Moodle, Canvas or nbgrader takes."""

    format: GradesFormat = "json"


class StudentGrade(msgspec.Struct, kw_only=True):
    """A student and an assignment; `attempt` and what follows are null without a grade.

    `points` is the highest grade of the assignment.
    """

    class_id: int
    assignment_id: int
    title: str
    points: float | None
    due_date: datetime | None
    student_id: int
    user_id: str
    name: str | None
    email: str | None
    team: str | None
    attempt: int | None
    grade: float | None
    submitted_at: datetime | None
    late: bool | None
    graded_at: datetime | None


async def class_grades(
    connection: asyncpg.Connection, class_id: int, *, is_open: bool
) -> list[StudentGrade]:
    """Of all assignments of a class, for each student of its roster, by user_id.

    Raises NotFound, and InvalidBody where there are more than 100,000.
    """
    await CLASSES.get(connection, class_id)
    return await _grades(connection, class_id, None, is_open=is_open)


async def assignment_grades(
    connection: asyncpg.Connection, assignment_id: int, *, is_open: bool
) -> list[StudentGrade]:
    """Of one assignment, for each student of its class's roster, by user_id. Raises NotFound."""
    assignment = await ASSIGNMENTS.get(connection, assignment_id)
    return await _grades(connection, assignment.class_id, assignment_id, is_open=is_open)


async def _grades(
    connection: asyncpg.Connection, class_id: int, assignment_id: int | None, *, is_open: bool
) -> list[StudentGrade]:
    rows = await connection.fetch(_SELECT, class_id, assignment_id, is_open, _MAX_GRADES + 1)
    if len(rows) > _MAX_GRADES:
        reason = f"The class has more than {_MAX_GRADES} grades: ask for each assignment's"
        raise InvalidBody(Detail(("path", "class_id"), reason, "value_error"))
    return [StudentGrade(**row) for row in rows]


_SELECT = f"""
    SELECT a.class_id, a.id AS assignment_id, a.title, a.points, a.due_date,
        m.student_id, m.user_id, m.name, m.email, m.team,
        s.attempt, s.grade, s.submitted_at, s.late, s.graded_at
    FROM ({members(is_open="$3::boolean")}) AS m
    JOIN class_assignments AS a ON a.class_id = m.class_id
    LEFT JOIN LATERAL (
        SELECT attempt, grade, submitted_at, late, graded_at FROM assignment_submissions
        WHERE assignment_id = a.id AND student_id = m.student_id AND grade IS NOT NULL
        ORDER BY attempt DESC LIMIT 1
    ) AS s ON true
    WHERE m.class_id = $1 AND m.role = 'student' AND ($2::bigint IS NULL OR a.id = $2)
    ORDER BY m.user_id, a.id LIMIT $4
"""  # noqa: S608 - constants
