"""Students: made by the events that name them, or before any does."""

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
    """The page of a list of students, and which of them."""

    user_id: Indexed | UnsetType = UNSET
    email: Indexed | UnsetType = UNSET
    team: Indexed | UnsetType = UNSET


class StudentCreate(msgspec.Struct):
    """A student to be made. `user_id` is that of their events: userId, else emailAddress."""

    user_id: Required
    name: Indexed | None = None
    email: Indexed | None = None
    team: Indexed | None = None


class StudentUpdate(msgspec.Struct):
    """Changes of a student: what is left out stays. Later events may say otherwise."""

    name: Indexed | UnsetType | None = UNSET
    email: Indexed | UnsetType | None = UNSET
    team: Indexed | UnsetType | None = UNSET
    user_id: Required | UnsetType = UNSET


class StudentResponse(msgspec.Struct):
    """A student."""

    id: int
    user_id: str
    name: str | None
    email: str | None
    team: str | None
    created_at: datetime


STUDENTS = Resource(StudentResponse, "students", "student")


async def create(connection: asyncpg.Connection, body: StudentCreate) -> StudentResponse:
    """Raises InUse."""
    return await STUDENTS.insert(connection, _told(values(body)))


async def update(
    connection: asyncpg.Connection, student_id: int, body: StudentUpdate
) -> StudentResponse:
    """Raises NotFound, and Invalid for another user_id."""
    student = await STUDENTS.get(connection, student_id)
    if body.user_id not in (UNSET, student.user_id):
        raise Fixed("user_id")
    return await STUDENTS.update(connection, student_id, _told(values(body)))


async def ensure(connection: asyncpg.Connection, user_ids: Iterable[str]) -> dict[str, int]:
    """The students' ids; those that don't exist yet are made."""
    names = sorted(set(user_ids))
    await connection.execute(_INSERT_MISSING, names)
    return {row["user_id"]: row["id"] for row in await connection.fetch(_SELECT_IDS, names)}


def _told(given: dict[str, Any]) -> dict[str, Any]:
    """With the time at which it was said: the latest wins, an event's or a teacher's."""
    now = datetime.now(UTC)
    return given | {f"{name}_at": now for name in ("name", "email", "team") if name in given}


_INSERT_MISSING = """
    INSERT INTO students (user_id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING
"""

_SELECT_IDS = "SELECT id, user_id FROM students WHERE user_id = ANY($1::text[])"
