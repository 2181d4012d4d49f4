"""Submissions: the notebooks that students hand in, attempt by attempt, and their grades."""

from datetime import datetime
from typing import Annotated, Any, NamedTuple

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.database import irregularity
from monitor.database.irregularity import Irregularity
from monitor.database.paging import Id, Page
from monitor.database.resource import Fixed, Invalid, Resource, Unknown, values
from monitor.events.event import Indexed
from monitor.events.json_text import without_nan
from monitor.lms.notebook_format import NOT_A_NUMBER, HandedIn

SubmissionStatus = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
NotebookContent = Annotated[
    msgspec.Raw, msgspec.Meta(extra_json_schema={"type": ["object", "null"]}, title="Notebook")
]


class SubmissionFilter(Page, frozen=True, kw_only=True):
    """A page of submissions, only those to an assignment or of a student if given."""

    assignment_id: Id | UnsetType = UNSET
    student_id: Id | UnsetType = UNSET
    user_id: Indexed | UnsetType = UNSET


class AssignmentSubmissionCreate(msgspec.Struct, kw_only=True):
    """A new submission, by `student_id` or `user_id`. `submitted_at` is set by the server."""

    assignment_id: Id
    student_id: Id | None = None
    user_id: Indexed | None = None
    notebook_content: NotebookContent | UnsetType = UNSET
    status: SubmissionStatus = "submitted"
    grade: float | None = None
    feedback: str | None = None
    submitted_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.student_id is None and self.user_id is None:
            raise ValueError("One of student_id and user_id is required")


class AssignmentSubmissionUpdate(msgspec.Struct, kw_only=True):
    """A grade: fields that are left out stay. To change the content, submit it again."""

    status: SubmissionStatus | UnsetType = UNSET
    grade: float | UnsetType | None = UNSET
    feedback: str | UnsetType | None = UNSET
    assignment_id: Id | UnsetType = UNSET
    student_id: Id | UnsetType = UNSET
    user_id: Indexed | UnsetType = UNSET
    notebook_content: NotebookContent | UnsetType = UNSET


class AssignmentSubmission(msgspec.Struct, kw_only=True):
    """A submission without its content, of which `sha256` is the hash in hex.

    `late` is by the server's clock and the due date at the time of submission; `attempt` counts
    from 1. `irregularities` says what is odd about a notebook that Jupyter opens all the same: the
    first 20, and in an item more how many are left out.
    """

    id: int
    assignment_id: int
    student_id: int
    user_id: str
    attempt: int
    status: str
    grade: float | None
    feedback: str | None
    sha256: str | None
    irregularities: list[Irregularity]
    submitted_at: datetime
    late: bool
    graded_at: datetime | None

    def __post_init__(self) -> None:
        self.irregularities = irregularity.read(self.irregularities)


class AssignmentSubmissionResponse(AssignmentSubmission, kw_only=True):
    """A submission, with its content as the student sent it.

    Only NaN and Infinity, which JSON hasn't, are null in it; `sha256` is of what is stored.
    """

    notebook_content: NotebookContent | None

    def __post_init__(self) -> None:
        super().__post_init__()
        content: str | memoryview | bytes | None = self.notebook_content
        if isinstance(content, str):  # as PostgreSQL returns it
            content = memoryview(content.encode())
        if content is not None:
            if any(each.finding == NOT_A_NUMBER for each in self.irregularities):
                content = without_nan(bytes(content))  # an answer is JSON
            self.notebook_content = msgspec.Raw(content)


class Graded(msgspec.Struct, rename="camel"):
    """The `data` of an `assignment_graded`. `points` is the highest grade of the assignment."""

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


class Submitted(msgspec.Struct, rename="camel"):
    """The `data` of an `assignment_submitted`."""

    submission_id: int
    assignment_id: int
    class_id: int
    student_id: int
    user_id: str
    title: str
    attempt: int
    late: bool
    submitted_at: datetime


class SubmissionOutcome(NamedTuple):
    """A submission after a change, with the messages about it.

    `submitted` where it is new, `graded` where its grade is.
    """

    submission: AssignmentSubmissionResponse
    submitted: Submitted | None
    graded: Graded | None


_STUDENT = "JOIN (SELECT id AS student_id, user_id FROM students) AS student USING (student_id)"
SUMMARIES = Resource(AssignmentSubmission, "assignment_submissions", "submission", _STUDENT)
SUBMISSIONS = Resource(
    AssignmentSubmissionResponse, "assignment_submissions", "submission", _STUDENT
)


async def create(
    connection: asyncpg.Connection, body: AssignmentSubmissionCreate, notebook: HandedIn | None
) -> SubmissionOutcome:
    """Stores the student's next attempt; `notebook` is what its content was found to be.

    Raises Unknown.
    """
    student_id = await _student_id(connection, body)
    # Take the lock first, so that the next statement sees attempts committed by earlier holders.
    await connection.execute(_LOCK_ATTEMPTS, f"{body.assignment_id} {student_id}")
    attempt = await connection.fetchrow(_SELECT_ATTEMPT, body.assignment_id, student_id)
    if attempt is None:
        raise Unknown("assignment_id", body.assignment_id)
    content = memoryview(body.notebook_content) if notebook else None  # type: ignore[arg-type]
    summary = await SUMMARIES.insert(  # the content isn't read back: it may be large
        connection,
        {
            "assignment_id": body.assignment_id,
            "student_id": student_id,
            "attempt": attempt["attempt"],
            "notebook_content": content,
            "sha256": notebook.sha256 if notebook else None,
            "irregularities": irregularity.stored(notebook.irregularities if notebook else []),
            "status": body.status,
            "grade": body.grade,
            "feedback": body.feedback,
            "submitted_at": attempt["now"],
            "late": attempt["late"],
            "graded_at": None if body.grade is None else attempt["now"],
        },
    )
    fields = msgspec.structs.asdict(summary) | {"notebook_content": content}
    submission = AssignmentSubmissionResponse(**fields)
    row = await connection.fetchrow(_SELECT_SUBMITTED, submission.id)
    graded = await _graded(connection, submission, None)
    return SubmissionOutcome(submission, Submitted(**row), graded)


async def grade(
    connection: asyncpg.Connection, submission_id: int, body: AssignmentSubmissionUpdate
) -> SubmissionOutcome:
    """Raises NotFound, and Invalid if anything but the grade would change."""
    await connection.execute(_LOCK_SUBMISSION, submission_id)  # of two equal grades one is new
    before = await SUMMARIES.get(connection, submission_id)  # the content is read once, below
    changes = _grading(values(body), before)
    if any(changes.get(name, old) != old for name, old in _grade_of(before).items()):
        is_graded = changes.get("grade", before.grade) is not None
        changes["graded_at"] = await connection.fetchval(_NOW) if is_graded else None
    submission = await SUBMISSIONS.update(connection, submission_id, changes)
    graded = await _graded(connection, submission, before.grade)
    return SubmissionOutcome(submission, None, graded)


def _grading(changes: dict[str, Any], before: AssignmentSubmission) -> dict[str, Any]:
    """The changes without the fields that never change. Raises Invalid if one would."""
    if "notebook_content" in changes:
        raise Invalid("notebook_content", "A submission can't be changed: submit it again")
    for name in ("assignment_id", "student_id", "user_id"):
        if changes.pop(name, getattr(before, name)) != getattr(before, name):
            raise Fixed(name)
    return changes


def _grade_of(submission: AssignmentSubmission) -> dict[str, Any]:
    return {"grade": submission.grade, "feedback": submission.feedback}


async def _student_id(connection: asyncpg.Connection, body: AssignmentSubmissionCreate) -> int:
    row = await connection.fetchrow(_SELECT_STUDENT, body.student_id, body.user_id)
    if row is None:
        if body.student_id is not None:
            raise Unknown("student_id", body.student_id)
        raise Unknown("user_id", body.user_id)
    student_id: int = row["id"]
    if body.user_id not in (None, row["user_id"]):
        raise Invalid("user_id", f"The student {student_id} has another user_id")
    return student_id


async def _graded(
    connection: asyncpg.Connection,
    submission: AssignmentSubmissionResponse,
    old_grade: float | None,
) -> Graded | None:
    if submission.grade is None or submission.grade == old_grade:
        return None
    return Graded(**await connection.fetchrow(_SELECT_GRADED, submission.id))


_NOW = "SELECT clock_timestamp()"

_SELECT_STUDENT = """
    SELECT id, user_id FROM students
    WHERE id = $1::bigint OR ($1::bigint IS NULL AND user_id = $2::text)
"""

_LOCK_ATTEMPTS = "SELECT pg_advisory_xact_lock(hashtextextended('attempts ' || $1::text, 0))"

_SELECT_ATTEMPT = """
    SELECT clock_timestamp() AS now, COALESCE(clock_timestamp() > due_date, false) AS late,
        1 + COALESCE((
            SELECT max(attempt) FROM assignment_submissions
            WHERE assignment_id = $1 AND student_id = $2
        ), 0) AS attempt
    FROM class_assignments WHERE id = $1
"""

_LOCK_SUBMISSION = "SELECT FROM assignment_submissions WHERE id = $1 FOR NO KEY UPDATE"

_OF_SUBMISSION = """
    FROM assignment_submissions AS s
    JOIN class_assignments AS a ON a.id = s.assignment_id
    JOIN students ON students.id = s.student_id
    WHERE s.id = $1
"""

_SELECT_SUBMITTED = f"""
    SELECT s.id AS submission_id, assignment_id, class_id, student_id, user_id, title, attempt,
        late, submitted_at
    {_OF_SUBMISSION}
"""

_SELECT_GRADED = f"""
    SELECT s.id AS submission_id, assignment_id, class_id, user_id, title, attempt, grade, points,
        feedback, graded_at
    {_OF_SUBMISSION}
"""
