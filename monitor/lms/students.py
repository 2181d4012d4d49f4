"""Students: created by the first event that names them, or in advance."""

from collections.abc import Iterable
from datetime import datetime

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.auth.principal import Principal
from monitor.auth.visibility import visible, visible_rows
from monitor.database.members import members
from monitor.database.paging import Listing, Page
from monitor.database.resource import Fixed, Resource, values
from monitor.events.event import Indexed, Required


class StudentFilter(Page, frozen=True, kw_only=True):
    """A page of students, only those with a user_id, an email or a team if given."""

    user_id: Indexed | UnsetType = UNSET
    email: Indexed | UnsetType = UNSET
    team: Indexed | UnsetType = UNSET


class StudentCreate(msgspec.Struct):
    """A new student. `user_id` is as in their events: userId, or emailAddress without one."""

    user_id: Required
    name: Indexed | None = None
    email: Indexed | None = None
    team: Indexed | None = None


class StudentUpdate(msgspec.Struct):
    """Changes of a student's record: fields that are left out stay; events don't change it."""

    name: Indexed | UnsetType | None = UNSET
    email: Indexed | UnsetType | None = UNSET
    team: Indexed | UnsetType | None = UNSET
    user_id: Required | UnsetType = UNSET


class StudentResponse(msgspec.Struct):
    """A student, identified by the `user_id` that their events have.

    Name, email and team are the record's, which administrators keep; for an instructor those that
    the roster of their first class shows.
    """

    id: int
    user_id: str
    name: str | None
    email: str | None
    team: str | None
    created_at: datetime


STUDENTS = Resource(StudentResponse, "students", "student")


async def find(
    connection: asyncpg.Connection, page: StudentFilter, caller: Principal
) -> Listing[StudentResponse]:
    """A page of the students that a caller sees, in the order in which they were made."""
    if caller.role != "instructor":
        return await STUDENTS.find(connection, page, visible(STUDENTS.table, caller))
    visible_to = visible_rows(STUDENTS.table, caller, "$1")
    taught = _SELECT_TAUGHT.format(members=_MEMBERS, visible=visible_to)
    filters = [values(page).get(name) for name in ("user_id", "email", "team")]
    total = await connection.fetchval(_COUNT.format(taught=taught), caller.name, *filters)
    query = _SELECT_PAGE.format(taught=taught)
    rows = await connection.fetch(query, caller.name, *filters, page.skip, page.limit)
    return Listing([StudentResponse(**row) for row in rows], total)


async def get(
    connection: asyncpg.Connection, student_id: int, caller: Principal
) -> StudentResponse:
    """Raises NotFound."""
    student = await STUDENTS.get(connection, student_id)
    if caller.role != "instructor":
        return student
    page = StudentFilter(user_id=student.user_id)
    return (await find(connection, page, caller)).items[0]  # the gate lets nobody else through


async def update(
    connection: asyncpg.Connection, student_id: int, body: StudentUpdate
) -> StudentResponse:
    """Raises NotFound, and Fixed if the user_id is another one."""
    student = await STUDENTS.get(connection, student_id)
    if body.user_id not in (UNSET, student.user_id):
        raise Fixed("user_id")
    return await STUDENTS.update(connection, student_id, values(body))


async def ensure(connection: asyncpg.Connection, user_ids: Iterable[str]) -> dict[str, int]:
    """The students' ids by user_id, of merged ones those that stay; creates the missing ones."""
    unique = sorted(set(user_ids))
    await connection.execute(_INSERT_MISSING, unique)
    return {row["user_id"]: row["id"] for row in await connection.fetch(_SELECT_IDS, unique)}


# There are no instructors on an open server.
_MEMBERS = members(is_open="false")

# An instructor's students, each as the first of the instructor's classes shows them.
_SELECT_TAUGHT = """
    SELECT * FROM (
        SELECT s.id, s.user_id, COALESCE(line.name, shown(s.name)) AS name,
            COALESCE(line.email, shown(s.email)) AS email,
            COALESCE(line.team, shown(s.team)) AS team, s.created_at
        FROM (SELECT * FROM students WHERE {visible}) AS s LEFT JOIN LATERAL (
            SELECT m.name, m.email, m.team
            FROM ({members}) AS m JOIN teaching AS t ON t.class_id = m.class_id
            WHERE m.student_id = s.id AND t.user_id = $1
                AND (m.role = 'student' OR s.user_id = $1)
            ORDER BY m.class_id LIMIT 1
        ) AS line ON true
    ) AS taught
    WHERE ($2::text IS NULL OR user_id = $2) AND ($3::text IS NULL OR email = $3)
        AND ($4::text IS NULL OR team = $4)
"""

_COUNT = "SELECT count(*) FROM ({taught}) AS students"

_SELECT_PAGE = "{taught} ORDER BY id OFFSET $5 LIMIT $6"

_INSERT_MISSING = """
    INSERT INTO students (user_id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING
"""

_SELECT_IDS = """
    SELECT COALESCE(merged_into, id) AS id, user_id FROM students WHERE user_id = ANY($1::text[])
"""
