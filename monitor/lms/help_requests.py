"""Help requests: teachers take and resolve them.

A student's request is identified by their last `help_stop` before it: another one needs a new stop.
"""

from datetime import datetime
from typing import Annotated, Literal, NamedTuple

import asyncpg
import msgspec

from monitor.errors import Conflict, NotFound

HelpStatus = Literal["taken", "resolved"]


class HelpAction(msgspec.Struct):
    """A teacher takes or resolves a request, under the `name` that others see."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class HelpChange(msgspec.Struct, rename="camel"):
    """The `data` of a `help_request`: `name` has taken or resolved the student's request."""

    student_id: int
    user_id: str
    status: HelpStatus
    name: str
    at: datetime


class HelpOutcome(NamedTuple):
    """A change of a request, and the student's classes, which are notified."""

    change: HelpChange
    class_ids: list[int]


async def take(
    connection: asyncpg.Connection, class_id: int, student_id: int, name: str
) -> HelpOutcome:
    """Raises NotFound, and Conflict if somebody else has taken it or it is resolved."""
    student = await _student(connection, class_id, student_id)
    at = await connection.fetchval(_TAKE, student_id, student["after_stop"], name)
    return await _outcome(connection, student, "taken", name, at)


async def resolve(
    connection: asyncpg.Connection, class_id: int, student_id: int, name: str
) -> HelpOutcome:
    """Also a request that somebody else has taken. Raises NotFound, and Conflict if resolved."""
    student = await _student(connection, class_id, student_id)
    at = await connection.fetchval(_RESOLVE, student_id, student["after_stop"], name)
    return await _outcome(connection, student, "resolved", name, at)


async def _student(
    connection: asyncpg.Connection, class_id: int, student_id: int
) -> asyncpg.Record:
    student = await connection.fetchrow(_SELECT_STUDENT, class_id, student_id)
    if student is None:
        raise NotFound(f"There is no student {student_id} in the class {class_id}")
    if not student["help_active"]:
        raise Conflict(f"{student['user_id']} doesn't ask for help any more")
    return student


async def _outcome(
    connection: asyncpg.Connection,
    student: asyncpg.Record,
    status: HelpStatus,
    name: str,
    at: datetime | None,
) -> HelpOutcome:
    """The change made `at` this time; None if the request was in another state."""
    if at is None:
        request = await connection.fetchrow(_SELECT_REQUEST, student["id"], student["after_stop"])
        earlier = "resolved" if request["resolved_by"] else "taken"
        raise Conflict(f"{request[f'{earlier}_by']} has {earlier} it already")
    change = HelpChange(student["id"], student["user_id"], status, name, at)
    return HelpOutcome(change, student["class_ids"])


_SELECT_STUDENT = """
    SELECT s.id, user_id, help_active, COALESCE(help_stop_at, '-infinity') AS after_stop,
        ARRAY(
            SELECT class_id FROM student_classes
            WHERE student_id = s.id AND role = 'student' ORDER BY 1
        ) AS class_ids
    FROM student_classes AS m JOIN students AS s ON s.id = m.student_id
    WHERE m.class_id = $1 AND s.id = $2 AND m.role = 'student'
"""

_SELECT_REQUEST = """
    SELECT taken_by, resolved_by FROM help_requests WHERE student_id = $1 AND after_stop = $2
"""

_TAKE = """
    INSERT INTO help_requests AS h (student_id, after_stop, taken_by, taken_at)
    VALUES ($1, $2, $3, now())
    ON CONFLICT (student_id, after_stop) DO UPDATE SET taken_by = $3
    WHERE h.taken_by = $3 AND h.resolved_at IS NULL
    RETURNING taken_at
"""

_RESOLVE = """
    INSERT INTO help_requests AS h (student_id, after_stop, resolved_by, resolved_at)
    VALUES ($1, $2, $3, now())
    ON CONFLICT (student_id, after_stop) DO UPDATE SET resolved_by = $3, resolved_at = now()
    WHERE h.resolved_at IS NULL
    RETURNING resolved_at
"""
