"""Students: created by the first event that names them, or in advance."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.paging import Page
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
    """Changes of a student: fields that are left out stay; later events may change them again."""

    name: Indexed | UnsetType | None = UNSET
    email: Indexed | UnsetType | None = UNSET
    team: Indexed | UnsetType | None = UNSET
    user_id: Required | UnsetType = UNSET


class StudentResponse(msgspec.Struct):
    """A student, identified by the `user_id` that their events have."""

    id: int
    user_id: str
    name: str | None
    email: str | None
    team: str | None
    created_at: datetime


STUDENTS = Resource(StudentResponse, "students", "student")


async def create(connection: asyncpg.Connection, body: StudentCreate) -> StudentResponse:
    """Raises InUse."""
    return await STUDENTS.insert(connection, _with_times(values(body)))


async def update(
    connection: asyncpg.Connection, student_id: int, body: StudentUpdate
) -> StudentResponse:
    """Raises NotFound, and Fixed if the user_id is another one."""
    student = await STUDENTS.get(connection, student_id)
    if body.user_id not in (UNSET, student.user_id):
        raise Fixed("user_id")
    return await STUDENTS.update(connection, student_id, _with_times(values(body)))


async def ensure(connection: asyncpg.Connection, user_ids: Iterable[str]) -> dict[str, int]:
    """The students' ids by user_id; creates those that don't exist yet."""
    unique = sorted(set(user_ids))
    await connection.execute(_INSERT_MISSING, unique)
    return {row["user_id"]: row["id"] for row in await connection.fetch(_SELECT_IDS, unique)}


def _with_times(columns: dict[str, Any]) -> dict[str, Any]:
    """The columns and the times of their change: the latest wins, an event's or a teacher's."""
    now = datetime.now(UTC)
    return columns | {f"{name}_at": now for name in ("name", "email", "team") if name in columns}


_INSERT_MISSING = """
    INSERT INTO students (user_id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING
"""

_SELECT_IDS = "SELECT id, user_id FROM students WHERE user_id = ANY($1::text[])"
