"""Who is in a class: students enrolled one by one or a whole roster at once."""

from datetime import datetime
from typing import Annotated, Literal

import asyncpg
import msgspec

from monitor.auth.principal import Principal
from monitor.database.paging import Id, Listing, Page
from monitor.database.pool import Database
from monitor.database.resource import Unknown
from monitor.errors import NotFound
from monitor.events.event import Indexed, Required
from monitor.lms.classes import CLASSES
from monitor.lms.students import ensure

ClassRole = Literal["student", "assistant", "teacher"]
RoleNow = Literal["student", "assistant", "teacher", "pending"]


class Enrolment(msgspec.Struct, kw_only=True):
    """One to be enrolled, by `student_id`, or by `user_id`, who then need not exist yet.

    A name, an email or a team replaces what was known. Enrolling again changes the role.
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
    """Somebody on a class's roster.

    `pending` is a student of another teacher, until an administrator enrols them: the class sees
    nothing of them.
    """

    class_id: int
    student_id: int
    user_id: str
    name: str | None
    email: str | None
    team: str | None
    role: RoleNow
    joined_at: datetime


async def roster(connection: asyncpg.Connection, class_id: int, page: Page) -> Listing[RosterEntry]:
    """In the order of their user_id. Raises NotFound."""
    await CLASSES.get(connection, class_id)
    total = await connection.fetchval(_COUNT, class_id)
    rows = await connection.fetch(_SELECT_PAGE, class_id, page.skip, page.limit)
    return Listing([RosterEntry(**row) for row in rows], total)


async def enrol(
    database: Database, class_id: int, who: list[Enrolment], caller: Principal
) -> list[RosterEntry]:
    """Enrols all of them or, when one is unknown, nobody. Raises NotFound, Unknown.

    Students of other teachers become pending, and nothing of them changes, unless the caller is
    an administrator. Those who don't exist yet are made first, in a transaction of their own: the
    pipeline locks students in another order.
    """
    async with database.transaction() as connection:
        await CLASSES.get(connection, class_id)
        await _check_ids(connection, who)
        known = await ensure(connection, (each.user_id for each in who if each.user_id is not None))
    entries = {each.student_id or known[each.user_id or ""]: each for each in who}
    ids = sorted(entries)
    async with database.transaction() as connection:
        await connection.execute(_LOCK, ids)  # so that no key enrols one meanwhile
        teacher = None if caller.role == "admin" else caller.name
        others = {row["id"] for row in await connection.fetch(_SELECT_OF_OTHERS, ids, teacher)}
        ours = {row_id: entry for row_id, entry in entries.items() if row_id not in others}
        columns = [
            [getattr(entry, name) for entry in ours.values()] for name in ("name", "email", "team")
        ]
        await connection.execute(_UPDATE_STUDENTS, list(ours), *columns)
        roles = [_role(entries[row_id], row_id in others) for row_id in ids]
        try:
            await connection.execute(_ENROL, class_id, ids, roles)
        except asyncpg.ForeignKeyViolationError:
            raise NotFound(f"The class {class_id} or one of the students is gone") from None
        return [RosterEntry(**row) for row in await connection.fetch(_SELECT, class_id, ids)]


async def appoint(connection: asyncpg.Connection, class_id: int, user_id: str) -> None:
    """Puts somebody on a roster as its teacher."""
    (student_id,) = (await ensure(connection, [user_id])).values()
    await connection.execute(_ENROL, class_id, [student_id], ["teacher"])


async def remove(connection: asyncpg.Connection, class_id: int, student_id: int) -> RosterEntry:
    """Raises NotFound."""
    rows = await connection.fetch(_SELECT, class_id, [student_id])
    deleted = await connection.fetchval(_DELETE, class_id, student_id)
    if not rows or deleted is None:
        raise NotFound(f"The student {student_id} is not in the class {class_id}")
    return RosterEntry(**rows[0])


def _role(entry: Enrolment, is_of_others: bool) -> RoleNow:
    return "pending" if is_of_others and entry.role == "student" else entry.role


async def _check_ids(connection: asyncpg.Connection, who: list[Enrolment]) -> None:
    ids = [each.student_id for each in who if each.student_id is not None]
    missing = await connection.fetchval(_SELECT_MISSING, ids)
    if missing is not None:
        raise Unknown("student_id", missing)


_SELECT_MISSING = """
    SELECT asked FROM unnest($1::bigint[]) AS asked
    WHERE NOT EXISTS (SELECT FROM students WHERE id = asked) LIMIT 1
"""

# In an order that all writers share: none waits in a circle.
_LOCK = "SELECT FROM students WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE"

_SELECT_OF_OTHERS = """
    SELECT id FROM unnest($1::bigint[]) AS id
    WHERE is_of_others(id, ARRAY(SELECT t.id FROM students AS t WHERE t.user_id = $2))
"""

_UPDATE_STUDENTS = """
    UPDATE students AS s SET
        name = COALESCE(told.name, s.name),
        name_at = CASE WHEN told.name IS NULL THEN s.name_at ELSE now() END,
        email = COALESCE(told.email, s.email),
        email_at = CASE WHEN told.email IS NULL THEN s.email_at ELSE now() END,
        team = COALESCE(told.team, s.team),
        team_at = CASE WHEN told.team IS NULL THEN s.team_at ELSE now() END
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS told (id, name, email, team)
    WHERE s.id = told.id AND COALESCE(told.name, told.email, told.team) IS NOT NULL
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
