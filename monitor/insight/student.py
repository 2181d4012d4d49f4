"""A student's sessions and submissions."""

import uuid
from datetime import datetime

import msgspec

from monitor.database import irregularity
from monitor.database.irregularity import Irregularity
from monitor.database.pool import Connection
from monitor.insight.query import CursorPage, PageCursor, PageQuery, check_student, full_page

_MAX_ID = 2**63 - 1


class StudentSession(msgspec.Struct):
    """A JupyterLab session. `start_time` is the time of its earliest event."""

    id: int
    session_id: str
    start_time: datetime
    end_time: datetime | None
    is_active: bool


class StudentSubmission(msgspec.Struct):
    """A student's submission without its content. `title` is the assignment's."""

    id: int
    submitted_at: datetime
    class_id: int
    assignment_id: int
    title: str
    attempt: int
    status: str
    grade: float | None
    feedback: str | None
    late: bool
    irregularities: list[Irregularity]
    graded_at: datetime | None

    def __post_init__(self) -> None:
        self.irregularities = irregularity.read(self.irregularities)


async def sessions(
    connection: Connection, student_id: int, query: PageQuery
) -> CursorPage[StudentSession]:
    """Newest first. Raises NotFound, InvalidBody."""
    await check_student(connection, student_id)
    rows = await connection.fetch(_SELECT_SESSIONS, student_id, *_bounds(query))
    items = [StudentSession(**row) for row in rows]
    return full_page(items, query, lambda item: _cursor(item.start_time, item.id))


async def submissions(
    connection: Connection, classes: list[int] | None, student_id: int, query: PageQuery
) -> CursorPage[StudentSubmission]:
    """Those in these classes (None: in all), newest first. Raises NotFound, InvalidBody."""
    await check_student(connection, student_id)
    rows = await connection.fetch(_SELECT_SUBMISSIONS, student_id, *_bounds(query), classes)
    items = [StudentSubmission(**row) for row in rows]
    return full_page(items, query, lambda item: _cursor(item.submitted_at, item.id))


def _bounds(query: PageQuery) -> tuple[datetime, int, datetime, int]:
    bound = query.upper_bound()
    return bound.time, min(bound.id.int, _MAX_ID), query.lower_bound(), query.limit


def _cursor(time: datetime, row_id: int) -> PageCursor:
    return PageCursor(time, uuid.UUID(int=row_id))


_SELECT_SESSIONS = """
    SELECT id, session_id, start_time, end_time, is_active FROM sessions
    WHERE student_id = $1 AND (start_time, id) < ($2, $3) AND start_time >= $4
        AND session_id <> ''  -- events without a session
    ORDER BY start_time DESC, id DESC LIMIT $5
"""

_SELECT_SUBMISSIONS = """
    SELECT s.id, s.submitted_at, a.class_id, s.assignment_id, a.title, s.attempt, s.status,
        s.grade, s.feedback, s.late, s.irregularities, s.graded_at
    FROM assignment_submissions AS s JOIN class_assignments AS a ON a.id = s.assignment_id
    WHERE s.student_id = $1 AND (s.submitted_at, s.id) < ($2, $3) AND s.submitted_at >= $4
        AND ($6::bigint[] IS NULL OR a.class_id = ANY ($6))
    ORDER BY s.submitted_at DESC, s.id DESC LIMIT $5
"""
