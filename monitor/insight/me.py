"""What is stored of a student, as they see it themselves: by class, and their assignments."""

from datetime import datetime

import msgspec

from monitor.database import irregularity
from monitor.database.irregularity import Irregularity
from monitor.database.members import names
from monitor.database.paging import Listing, Page
from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.insight.places import place

_MAX_CLASSES = 500


class MyClass(msgspec.Struct, kw_only=True):
    """A student in a class. `class_id` and `class_name` are null for what they did in none.

    `role` is null if they are not on the roster. `name`, `email` and `team` are what its teachers
    see of them. `verified` says that their own credential posts into the class. `executions` and
    `errors` are totals; notebook and cell are where they were last.
    """

    class_id: int | None
    class_name: str | None
    is_active: bool
    role: str | None
    name: str | None
    email: str | None
    team: str | None
    verified: bool
    executions: int
    errors: int
    notebook_path: str | None
    cell_id: str | None
    cell_position: int | None
    last_heard_at: datetime | None


class Me(msgspec.Struct, kw_only=True):
    """A student: their record, and at most 500 classes, those that they used last first."""

    student_id: int
    user_id: str
    name: str | None
    email: str | None
    team: str | None
    created_at: datetime
    classes: list[MyClass]


class MyAssignment(msgspec.Struct, kw_only=True):
    """An assignment of a class in which the caller is a student.

    `cells_run` and `cells_succeeded` count the cells of its notebook that they ran, and of these
    the ones that ever succeeded. The rest is about their latest submission; null without one.
    """

    assignment_id: int
    class_id: int
    class_name: str
    title: str
    description: str | None
    due_date: datetime | None
    points: float | None
    notebook_path: str
    cells_run: int
    cells_succeeded: int
    submission_id: int | None
    attempt: int | None
    submitted_at: datetime | None
    late: bool | None
    irregularities: list[Irregularity] | None
    grade: float | None
    feedback: str | None
    graded_at: datetime | None

    def __post_init__(self) -> None:
        if self.irregularities is not None:
            self.irregularities = irregularity.read(self.irregularities)


async def me(connection: Connection, user_id: str) -> Me:
    """Raises NotFound if nothing is stored of them."""
    record = await connection.fetchrow(_SELECT_RECORD, user_id)
    if record is None:
        raise NotFound(f"Nothing is stored of {user_id}")
    rows = await connection.fetch(_SELECT_CLASSES, record["student_id"], _MAX_CLASSES)
    return Me(**record, classes=[MyClass(**row) for row in rows])


async def my_assignments(connection: Connection, user_id: str, page: Page) -> Listing[MyAssignment]:
    """Those of classes that have not ended first, then the last due first."""
    total = await connection.fetchval(_COUNT_ASSIGNMENTS, user_id)
    rows = await connection.fetch(_SELECT_ASSIGNMENTS, user_id, page.skip, page.limit)
    return Listing([MyAssignment(**row) for row in rows], total)


_SELECT_RECORD = """
    SELECT id AS student_id, user_id, shown(name) AS name, shown(email) AS email,
        shown(team) AS team, created_at
    FROM students WHERE user_id = $1
"""

# Classes on whose rosters they are, and those in which they did something.
_SELECT_CLASSES = f"""
    SELECT c.id AS class_id, c.name AS class_name, COALESCE(c.is_active, true) AS is_active, m.role,
        {names(line="m", record="s", claimed="state")},
        EXISTS (
            SELECT FROM verified_students AS v
            WHERE v.student_id = s.id AND v.class_id = mine.class_id
        ) AS verified,
        COALESCE(state.executions, 0) AS executions, COALESCE(state.errors, 0) AS errors,
        place.notebook_path, place.cell_id, place.cell_position,
        state.last_received_at AS last_heard_at
    FROM students AS s
    CROSS JOIN LATERAL (
        SELECT class_id FROM student_classes WHERE student_id = s.id
        UNION SELECT class_id FROM student_states WHERE student_id = s.id
    ) AS mine
    LEFT JOIN classes AS c ON c.id = mine.class_id
    LEFT JOIN student_classes AS m ON m.student_id = s.id AND m.class_id = mine.class_id
    LEFT JOIN student_states AS state ON state.student_id = s.id AND state.class_id = mine.class_id
    LEFT JOIN {
    place(
        alias="state.alias_id",
        cell="state.cell_id",
        index="state.cell_index",
        class_id="mine.class_id",
    )
} AS place ON true
    WHERE s.id = $1
    ORDER BY is_active DESC, state.last_received_at DESC NULLS LAST, mine.class_id LIMIT $2
"""  # noqa: S608 - constants

_ASSIGNMENTS = """
    FROM students AS s
    JOIN student_classes AS m ON m.student_id = s.id AND m.role = 'student'
    JOIN classes AS c ON c.id = m.class_id
    JOIN class_assignments AS a ON a.class_id = m.class_id
"""

_COUNT_ASSIGNMENTS = f"SELECT count(*) {_ASSIGNMENTS} WHERE s.user_id = $1"

# A cell that several aliases of the notebook have counts once.
_SELECT_ASSIGNMENTS = f"""
    SELECT a.id AS assignment_id, a.class_id, c.name AS class_name, a.title, a.description,
        a.due_date, a.points, n.path AS notebook_path,
        progress.cells_run, progress.cells_succeeded,
        latest.id AS submission_id, latest.attempt, latest.submitted_at, latest.late,
        latest.irregularities, latest.grade, latest.feedback, latest.graded_at
    {_ASSIGNMENTS}
    JOIN notebooks AS n ON n.id = a.notebook_id
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT cells.cell_id) AS cells_run,
            count(DISTINCT cells.cell_id) FILTER (WHERE p.first_success_at IS NOT NULL)
                AS cells_succeeded
        FROM notebook_aliases AS alias
        JOIN cell_progress AS p ON p.alias_id = alias.id AND p.student_id = s.id
        JOIN cells ON cells.id = p.cell_id
        WHERE alias.notebook_id = a.notebook_id AND p.executions > 0
    ) AS progress
    LEFT JOIN LATERAL (
        SELECT * FROM assignment_submissions
        WHERE assignment_id = a.id AND student_id = s.id ORDER BY attempt DESC LIMIT 1
    ) AS latest ON true
    WHERE s.user_id = $1
    ORDER BY c.is_active DESC, a.due_date DESC NULLS LAST, a.id DESC OFFSET $2 LIMIT $3
"""  # noqa: S608 - constants
