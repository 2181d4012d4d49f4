"""Enrolment: the students, assistants and teachers of a class."""

from datetime import datetime
from typing import Annotated, Literal

import asyncpg
import msgspec

from monitor.auth.principal import Principal
from monitor.database.paging import Id, Listing, Page
from monitor.database.resource import Unknown
from monitor.errors import NotFound
from monitor.events.event import Indexed, Required
from monitor.lms.classes import CLASSES
from monitor.lms.students import ensure

ClassRole = Literal["student", "assistant", "teacher"]
RosterRole = Literal["student", "assistant", "teacher", "pending"]


class Enrolment(msgspec.Struct, kw_only=True):
    """Enrols a student by `student_id` or by `user_id`; the latter is created if unknown.

    Name, email and team replace the student's if given. Enrolling again changes the role.
    """

    student_id: Id | None = None
    user_id: Required | None = None
    name: Indexed | None = None
    email: Indexed | None = None
    team: Indexed | None = None
    role: ClassRole = "student"

    def __post_init__(self) -> None:
        if (self.student_id is None) == (self.user_id is None):
            raise ValueError("One of student_id and user_id is required, and not both")


Enrolments = Annotated[list[Enrolment], msgspec.Meta(max_length=10_000)]


class RosterEntry(msgspec.Struct):
    """A person on a class's roster.

    A student of another teacher is `pending` until an administrator enrols them; until then the
    class sees nothing of theirs.
    """

    class_id: int
    student_id: int
    user_id: str
    name: str | None
    email: str | None
    team: str | None
    role: RosterRole
    joined_at: datetime


async def list_roster(
    connection: asyncpg.Connection, class_id: int, page: Page
) -> Listing[RosterEntry]:
    """In the order of user_id. Raises NotFound."""
    await CLASSES.get(connection, class_id)
    total = await connection.fetchval(_COUNT, class_id)
    rows = await connection.fetch(_SELECT_PAGE, class_id, page.skip, page.limit)
    return Listing([RosterEntry(**row) for row in rows], total)


async def ensure_students(
    connection: asyncpg.Connection, class_id: int, enrolments: list[Enrolment]
) -> dict[int, Enrolment]:
    """The enrolments by student id; creates students whose user_id is unknown.

    Commit before `enrol`, because the pipeline locks students in another order. Raises NotFound,
    and Unknown for an unknown student_id.
    """
    await CLASSES.get(connection, class_id)
    await _check_ids(connection, enrolments)
    user_ids = [each.user_id for each in enrolments if each.user_id is not None]
    ids = await ensure(connection, user_ids)
    return {each.student_id or ids[each.user_id or ""]: each for each in enrolments}


async def enrol(
    connection: asyncpg.Connection,
    class_id: int,
    by_id: dict[int, Enrolment],
    caller: Principal,
) -> list[RosterEntry]:
    """Enrols students by their ids: all of them or, if one does not exist, nobody. Raises NotFound.

    Unless the caller is an administrator, students of other teachers become pending, and their
    name, email and team stay as they are.
    """
    ids = sorted(by_id)
    await connection.execute(_LOCK, ids)  # so that no ingest key enrols one at the same time
    teacher = None if caller.role == "admin" else caller.name
    others = {row["id"] for row in await connection.fetch(_SELECT_OF_OTHERS, ids, teacher)}
    await _update_students(
        connection, {row_id: each for row_id, each in by_id.items() if row_id not in others}
    )
    roles = [_role(by_id[row_id], row_id in others) for row_id in ids]
    try:
        await connection.execute(_ENROL, class_id, ids, roles)
    except asyncpg.ForeignKeyViolationError:
        raise NotFound(f"The class {class_id} or one of the students does not exist") from None
    return [RosterEntry(**row) for row in await connection.fetch(_SELECT, class_id, ids)]


async def _update_students(connection: asyncpg.Connection, by_id: dict[int, Enrolment]) -> None:
    columns = [
        [getattr(each, name) for each in by_id.values()] for name in ("name", "email", "team")
    ]
    await connection.execute(_UPDATE_STUDENTS, list(by_id), *columns)


async def appoint(connection: asyncpg.Connection, class_id: int, user_id: str) -> None:
    """Enrols somebody as the teacher of a class; creates them if unknown."""
    (student_id,) = (await ensure(connection, [user_id])).values()
    await connection.execute(_ENROL, class_id, [student_id], ["teacher"])


async def remove(connection: asyncpg.Connection, class_id: int, student_id: int) -> RosterEntry:
    """Returns the removed entry. Raises NotFound."""
    rows = await connection.fetch(_SELECT, class_id, [student_id])
    deleted = await connection.fetchval(_DELETE, class_id, student_id)
    if not rows or deleted is None:
        raise NotFound(f"The student {student_id} is not in the class {class_id}")
    return RosterEntry(**rows[0])


def _role(enrolment: Enrolment, is_of_others: bool) -> RosterRole:
    is_pending = is_of_others and enrolment.role == "student"
    return "pending" if is_pending else enrolment.role


async def _check_ids(connection: asyncpg.Connection, enrolments: list[Enrolment]) -> None:
    ids = [each.student_id for each in enrolments if each.student_id is not None]
    missing = await connection.fetchval(_SELECT_MISSING, ids)
    if missing is not None:
        raise Unknown("student_id", missing)


_SELECT_MISSING = """
    SELECT wanted FROM unnest($1::bigint[]) AS wanted
    WHERE NOT EXISTS (SELECT FROM students WHERE id = wanted) LIMIT 1
"""

# Same lock order everywhere, to avoid deadlocks.
_LOCK = "SELECT FROM students WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE"

_SELECT_OF_OTHERS = """
    SELECT id FROM unnest($1::bigint[]) AS id
    WHERE is_of_others(id, ARRAY(SELECT t.id FROM students AS t WHERE t.user_id = $2))
"""

_UPDATE_STUDENTS = """
    UPDATE students AS s SET
        name = COALESCE(changes.name, s.name),
        name_at = CASE WHEN changes.name IS NULL THEN s.name_at ELSE now() END,
        email = COALESCE(changes.email, s.email),
        email_at = CASE WHEN changes.email IS NULL THEN s.email_at ELSE now() END,
        team = COALESCE(changes.team, s.team),
        team_at = CASE WHEN changes.team IS NULL THEN s.team_at ELSE now() END
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS changes (id, name, email, team)
    WHERE s.id = changes.id AND COALESCE(changes.name, changes.email, changes.team) IS NOT NULL
"""

_ENROL = """
    INSERT INTO student_classes (class_id, student_id, role)
    SELECT $1, student_id, role FROM unnest($2::bigint[], $3::text[]) AS t (student_id, role)
    ON CONFLICT (student_id, class_id) DO UPDATE SET role = EXCLUDED.role
"""

_COUNT = "SELECT count(*) FROM student_classes WHERE class_id = $1"

_SELECT_ROSTER = """
    SELECT class_id, student_id, user_id,
        CASE WHEN role <> 'pending' THEN name END AS name,
        CASE WHEN role <> 'pending' THEN email END AS email,
        CASE WHEN role <> 'pending' THEN team END AS team,
        role, joined_at
    FROM student_classes JOIN students ON students.id = student_id
    WHERE class_id = $1
"""

_SELECT_PAGE = _SELECT_ROSTER + " ORDER BY user_id OFFSET $2 LIMIT $3"

_SELECT = _SELECT_ROSTER + " AND student_id = ANY($2::bigint[]) ORDER BY user_id"

_DELETE = """
    DELETE FROM student_classes WHERE class_id = $1 AND student_id = $2 RETURNING student_id
"""
