"""What is stored of a student, as they see it themselves: by class, and their assignments."""

from datetime import datetime

import msgspec

from monitor.database import irregularity
from monitor.database.irregularity import Irregularity
from monitor.database.members import names
from monitor.database.paging import Listing, Page
from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.insight.cell_names import named, taken_name
from monitor.insight.copies import Row, counted_places_by_class
from monitor.insight.places import place

_MAX_CLASSES = 500


class MyClass(msgspec.Struct, kw_only=True):
    """A student in a class. What is of the class is null for what they did in none.

    `role` is null if they are not on the roster. `name`, `email` and `team` are what its teachers
    see of them; `number` (on the class's list), `kana` (how the name is read) and the seat, by row
    and column from 1, are the roster's. `verified` says that their own credential posts into the
    class. `executions` and `errors` are totals; notebook and cell are where they were last.
    """

    class_id: int | None
    class_name: str | None
    is_active: bool
    learner_word: str | None
    role: str | None
    name: str | None
    email: str | None
    team: str | None
    number: int | None
    kana: str | None
    seat_row: int | None
    seat_column: int | None
    verified: bool
    executions: int
    errors: int
    notebook_path: str | None
    cell_id: str | None
    cell_position: int | None
    cell_title: str | None
    cell_heading: str | None
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
    places = await counted_places_by_class(connection, rows)
    return Me(**record, classes=[_class(place) for place in places])


def _class(place: Row) -> MyClass:
    del place["notebook_id"]
    title, heading = taken_name(place)
    return MyClass(**place, cell_title=title, cell_heading=heading)


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
    SELECT c.id AS class_id, c.name AS class_name, COALESCE(c.is_active, true) AS is_active,
        c.learner_word, m.role,
        {names(line="m", record="s", claimed="state")},
        m.number, m.kana, m.seat_row, m.seat_column,
        EXISTS (
            SELECT FROM verified_students AS v
            WHERE v.student_id = s.id AND v.class_id = mine.class_id
        ) AS verified,
        COALESCE(state.executions, 0) AS executions, COALESCE(state.errors, 0) AS errors,
        place.notebook_id, place.notebook_path, place.cell_id, place.cell_position, named.*,
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
    LEFT JOIN {
    named(
        student="s.id",
        alias="state.alias_id",
        cell="state.cell_id",
        index="place.cell_position",
        classes="ARRAY[mine.class_id]",
    )
} AS named ON true
    WHERE s.id = $1
    ORDER BY is_active DESC, state.last_received_at DESC NULLS LAST, mine.class_id LIMIT $2
"""  # noqa: S608 - constants

_ASSIGNMENTS = """
    FROM students AS s
    CROSS JOIN LATERAL (
        SELECT class_id FROM student_classes WHERE student_id = s.id AND role = 'student' OFFSET 0
    ) AS m
    CROSS JOIN LATERAL (SELECT * FROM classes WHERE id = m.class_id OFFSET 0) AS c
    CROSS JOIN LATERAL (SELECT * FROM class_assignments WHERE class_id = c.id OFFSET 0) AS a
"""

_COUNT_ASSIGNMENTS = f"SELECT count(*) {_ASSIGNMENTS} WHERE s.user_id = $1"

# `assigned` are a page of assignments, `mine` the aliases of notebooks that they used, `counted`
# the copies among these. A cell that several aliases of a notebook have counts once.
_SELECT_ASSIGNMENTS = f"""
    WITH assigned AS MATERIALIZED (
        SELECT s.id AS student_id, a.id, a.class_id, c.name AS class_name, c.is_active, a.title,
            a.description, a.due_date, a.points, a.notebook_id
        {_ASSIGNMENTS}
        WHERE s.user_id = $1
        ORDER BY c.is_active DESC, a.due_date DESC NULLS LAST, a.id DESC OFFSET $2 LIMIT $3
    ), mine AS MATERIALIZED (
        SELECT p.alias_id, alias.notebook_id, alias.class_id
        FROM students AS s
        CROSS JOIN LATERAL (
            SELECT DISTINCT alias_id FROM cell_progress WHERE student_id = s.id OFFSET 0
        ) AS p
        CROSS JOIN LATERAL (
            SELECT notebook_id, class_id FROM notebook_aliases WHERE id = p.alias_id OFFSET 0
        ) AS alias
        WHERE s.user_id = $1
    ), counted AS MATERIALIZED (
        SELECT copy.notebook_id, copy.counts_for
        FROM (
            SELECT class_id, array_agg(notebook_id) AS notebooks FROM mine GROUP BY class_id
        ) AS used
        CROSS JOIN LATERAL notebook_copies(ARRAY[used.class_id], used.notebooks) AS copy
    )
    SELECT a.id AS assignment_id, a.class_id, a.class_name, a.title, a.description,
        a.due_date, a.points, n.path AS notebook_path,
        progress.cells_run, progress.cells_succeeded,
        latest.id AS submission_id, latest.attempt, latest.submitted_at, latest.late,
        latest.irregularities, latest.grade, latest.feedback, latest.graded_at
    FROM assigned AS a
    CROSS JOIN LATERAL (SELECT path FROM notebooks WHERE id = a.notebook_id OFFSET 0) AS n
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT cells.cell_id) AS cells_run,
            count(DISTINCT cells.cell_id) FILTER (WHERE p.first_success_at IS NOT NULL)
                AS cells_succeeded
        FROM mine
        CROSS JOIN LATERAL (
            SELECT cell_id, first_success_at FROM cell_progress
            WHERE student_id = a.student_id AND alias_id = mine.alias_id AND executions > 0
            OFFSET 0
        ) AS p
        CROSS JOIN LATERAL (SELECT cell_id FROM cells WHERE id = p.cell_id OFFSET 0) AS cells
        WHERE mine.class_id = a.class_id AND a.notebook_id = COALESCE((
            SELECT counts_for FROM counted WHERE counted.notebook_id = mine.notebook_id
        ), mine.notebook_id)
    ) AS progress
    LEFT JOIN LATERAL (
        SELECT * FROM assignment_submissions
        WHERE assignment_id = a.id AND student_id = a.student_id ORDER BY attempt DESC LIMIT 1
    ) AS latest ON true
    ORDER BY a.is_active DESC, a.due_date DESC NULLS LAST, a.id DESC
"""  # noqa: S608 - constants
