"""A student's sessions and submissions."""

import uuid
from datetime import datetime

import msgspec

from monitor.database.reads import Reads
from monitor.insight.pages import PageCursor, PageOf, Span, check_student


class SessionOf(msgspec.Struct):
    """A JupyterLab session. `start_time` is that of its earliest event."""

    id: int
    session_id: str
    start_time: datetime
    end_time: datetime | None
    is_active: bool


class SubmissionOf(msgspec.Struct):
    """What a student handed in, without its content."""

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
    graded_at: datetime | None


async def sessions(reads: Reads, student_id: int, span: Span) -> PageOf[SessionOf]:
    """Raises NotFound, InvalidBody."""
    await check_student(reads, student_id)
    items = [
        SessionOf(**row) for row in await reads.fetch(_SELECT_SESSIONS, student_id, *_bounds(span))
    ]
    full = len(items) == span.limit
    return PageOf(items, _cursor(items[-1].start_time, items[-1].id) if full else None)


async def submissions(
    reads: Reads, student_id: int, span: Span, teacher: str | None = None
) -> PageOf[SubmissionOf]:
    """With a teacher only what was handed in to their classes. Raises NotFound, InvalidBody."""
    await check_student(reads, student_id)
    rows = await reads.fetch(_SELECT_SUBMISSIONS, student_id, *_bounds(span), teacher)
    items = [SubmissionOf(**row) for row in rows]
    full = len(items) == span.limit
    return PageOf(items, _cursor(items[-1].submitted_at, items[-1].id) if full else None)


def _bounds(span: Span) -> tuple[datetime, int, datetime, int]:
    place = span.place()
    return place.time, min(place.id.int, 2**63 - 1), span.start(), span.limit


def _cursor(time: datetime, row_id: int) -> str:
    return str(PageCursor(time, uuid.UUID(int=row_id)))


_SELECT_SESSIONS = """
    SELECT id, session_id, start_time, end_time, is_active FROM sessions
    WHERE student_id = $1 AND (start_time, id) < ($2, $3) AND start_time >= $4
    ORDER BY start_time DESC, id DESC LIMIT $5
"""

_SELECT_SUBMISSIONS = """
    SELECT s.id, s.submitted_at, a.class_id, s.assignment_id, a.title, s.attempt, s.status,
        s.grade, s.feedback, s.late, s.graded_at
    FROM assignment_submissions AS s JOIN class_assignments AS a ON a.id = s.assignment_id
    WHERE s.student_id = $1 AND (s.submitted_at, s.id) < ($2, $3) AND s.submitted_at >= $4
        AND ($6::text IS NULL OR a.class_id IN (SELECT class_id FROM teaching WHERE user_id = $6))
    ORDER BY s.submitted_at DESC, s.id DESC LIMIT $5
"""
