"""Submissions: what a student has handed in, attempt by attempt, and its grade."""

from datetime import datetime
from typing import Annotated, NamedTuple

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.paging import Id, Page
from monitor.database.resource import Fixed, Invalid, Resource, Unknown, values
from monitor.events.event import Indexed
from monitor.lms.notebook_format import Evidence

Status = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Content = Annotated[
    msgspec.Raw, msgspec.Meta(extra_json_schema={"type": ["object", "null"]}, title="Notebook")
]


class SubmissionFilter(Page, frozen=True, kw_only=True):
    """The page of a list of submissions, and which of them."""

    assignment_id: Id | UnsetType = UNSET
    student_id: Id | UnsetType = UNSET
    user_id: Indexed | UnsetType = UNSET


class AssignmentSubmissionCreate(msgspec.Struct, kw_only=True):
    """What is handed in, by `student_id` or `user_id`. The time will be the server's."""

    assignment_id: Id
    student_id: Id | None = None
    user_id: Indexed | None = None
    notebook_content: Content | UnsetType = UNSET
    status: Status = "submitted"
    grade: float | None = None
    feedback: str | None = None
    submitted_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.student_id is None and self.user_id is None:
            raise ValueError("One of student_id and user_id is required")


class AssignmentSubmissionUpdate(msgspec.Struct, kw_only=True):
    """Grading: what is left out stays. What was handed in can't be changed; hand it in again."""

    status: Status | UnsetType = UNSET
    grade: float | UnsetType | None = UNSET
    feedback: str | UnsetType | None = UNSET
    assignment_id: Id | UnsetType = UNSET
    student_id: Id | UnsetType = UNSET
    user_id: Indexed | UnsetType = UNSET
    notebook_content: Content | UnsetType = UNSET


class AssignmentSubmission(msgspec.Struct, kw_only=True):
    """A submission without its content. `late` is by the server's clock and that day's due date."""

    id: int
    assignment_id: int
    student_id: int
    user_id: str
    attempt: int
    status: str
    grade: float | None
    feedback: str | None
    sha256: str | None
    submitted_at: datetime
    late: bool
    graded_at: datetime | None


class AssignmentSubmissionResponse(AssignmentSubmission, kw_only=True):
    """A submission, with its content as it was handed in."""

    notebook_content: Content | None

    def __post_init__(self) -> None:
        if isinstance(self.notebook_content, str):  # as PostgreSQL has it
            self.notebook_content = msgspec.Raw(self.notebook_content.encode())


class Graded(msgspec.Struct, rename="camel"):
    """The `data` of an `assignment_graded`."""

    submission_id: int
    assignment_id: int
    class_id: int
    user_id: str
    title: str
    attempt: int
    grade: float
    points: float | None
    feedback: str | None
    graded_at: datetime


class Outcome(NamedTuple):
    """A submission after a change, and what is to be told when its grade is a new one."""

    submission: AssignmentSubmissionResponse
    graded: Graded | None


_STUDENT = "JOIN (SELECT id AS student_id, user_id FROM students) AS student USING (student_id)"
LISTED = Resource(AssignmentSubmission, "assignment_submissions", "submission", _STUDENT)
SUBMISSIONS = Resource(
    AssignmentSubmissionResponse, "assignment_submissions", "submission", _STUDENT
)


async def create(
    connection: asyncpg.Connection, body: AssignmentSubmissionCreate, evidence: Evidence | None
) -> Outcome:
    """The next attempt. Raises Unknown."""
    student_id = await _student(connection, body)
    # Only then the next statement sees the attempts of all who had the lock before.
    await connection.execute(_LOCK_ATTEMPTS, f"{body.assignment_id} {student_id}")
    assignment = await connection.fetchrow(_SELECT_TURN, body.assignment_id, student_id)
    if assignment is None:
        raise Unknown("assignment_id", body.assignment_id)
    text, sha256 = evidence or (None, None)
    submission = await SUBMISSIONS.insert(
        connection,
        {
            "assignment_id": body.assignment_id,
            "student_id": student_id,
            "attempt": assignment["attempt"],
            "notebook_content": text,
            "sha256": sha256,
            "status": body.status,
            "grade": body.grade,
            "feedback": body.feedback,
            "submitted_at": assignment["now"],
            "late": assignment["late"],
            "graded_at": None if body.grade is None else assignment["now"],
        },
    )
    return await _outcome(connection, submission, None)


async def grade(
    connection: asyncpg.Connection, submission_id: int, body: AssignmentSubmissionUpdate
) -> Outcome:
    """Raises NotFound, and Invalid where what was handed in is to be changed."""
    await connection.execute(_LOCK_SUBMISSION, submission_id)  # of two equal grades one is new
    before = await SUBMISSIONS.get(connection, submission_id)
    given = values(body)
    if "notebook_content" in given:
        raise Invalid("notebook_content", "A submission never changes: hand it in again")
    for name in ("assignment_id", "student_id", "user_id"):
        if given.pop(name, getattr(before, name)) != getattr(before, name):
            raise Fixed(name)
    graded = {name: given.get(name, getattr(before, name)) for name in ("grade", "feedback")}
    if graded != {"grade": before.grade, "feedback": before.feedback}:
        given["graded_at"] = None if graded["grade"] is None else await connection.fetchval(_NOW)
    submission = await SUBMISSIONS.update(connection, submission_id, given)
    return await _outcome(connection, submission, before.grade)


async def _student(connection: asyncpg.Connection, body: AssignmentSubmissionCreate) -> int:
    row = await connection.fetchrow(_SELECT_STUDENT, body.student_id, body.user_id)
    if row is None:
        if body.student_id is not None:
            raise Unknown("student_id", body.student_id)
        raise Unknown("user_id", body.user_id)
    if body.user_id not in (None, row["user_id"]):
        raise Invalid("user_id", f"The student {row['id']} has another user_id")
    found: int = row["id"]
    return found


async def _outcome(
    connection: asyncpg.Connection, submission: AssignmentSubmissionResponse, before: float | None
) -> Outcome:
    if submission.grade is None or submission.grade == before:
        return Outcome(submission, None)
    row = await connection.fetchrow(_SELECT_GRADED, submission.id)
    return Outcome(submission, Graded(**row))


_NOW = "SELECT clock_timestamp()"

_SELECT_STUDENT = """
    SELECT id, user_id FROM students
    WHERE id = $1::bigint OR ($1::bigint IS NULL AND user_id = $2::text)
"""

_LOCK_ATTEMPTS = "SELECT pg_advisory_xact_lock(hashtextextended('attempts ' || $1::text, 0))"

_SELECT_TURN = """
    SELECT clock_timestamp() AS now, COALESCE(clock_timestamp() > due_date, false) AS late,
        1 + COALESCE((
            SELECT max(attempt) FROM assignment_submissions
            WHERE assignment_id = $1 AND student_id = $2
        ), 0) AS attempt
    FROM class_assignments WHERE id = $1
"""

_LOCK_SUBMISSION = "SELECT FROM assignment_submissions WHERE id = $1 FOR NO KEY UPDATE"

_SELECT_GRADED = """
    SELECT s.id AS submission_id, assignment_id, class_id, user_id, title, attempt, grade, points,
        feedback, graded_at
    FROM assignment_submissions AS s
    JOIN class_assignments AS a ON a.id = s.assignment_id
    JOIN students ON students.id = s.student_id
    WHERE s.id = $1
"""
