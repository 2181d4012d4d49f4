"""Moves what a student did in one class, or in none, to another class."""

from datetime import datetime

import asyncpg
import msgspec

from monitor.database.paging import Id
from monitor.database.resource import Invalid, Unknown
from monitor.errors import NotFound
from monitor.events.event import Required, in_utc

_ROWS = 2_000  # moved in one transaction
_TIMEOUT = 120.0  # seconds for one transaction: a student may have run a million cells


class Reassignment(msgspec.Struct, kw_only=True):
    """Moves what was received of a student from `since` to before `until` (default: now).

    The student is given by `student_id` or by `user_id`. From the class `from_class_id`; null:
    what was done in no class.
    """

    student_id: Id | None = None
    user_id: Required | None = None
    since: datetime
    until: datetime | None = None
    from_class_id: Id | None = None

    def __post_init__(self) -> None:
        if (self.student_id is None) == (self.user_id is None):
            raise ValueError("One of student_id and user_id is required, and not both")


class Reassigned(msgspec.Struct):
    """How many events of a student are another class's now."""

    student_id: int
    class_id: int
    from_class_id: int | None
    events: int


class Move(msgspec.Struct, frozen=True):
    """A request that has been checked; `from_class_id` 0 is none."""

    student_id: int
    from_class_id: int
    class_id: int
    since: datetime
    until: datetime


async def check(connection: asyncpg.Connection, class_id: int, body: Reassignment) -> Move:
    """Raises NotFound for the class, Unknown for the other class and the student, and Invalid."""
    if not await connection.fetchval(_HAS_CLASS, class_id):
        raise NotFound(f"There is no class {class_id}")
    from_class_id = body.from_class_id or 0
    if from_class_id == class_id:
        raise Invalid("from_class_id", "from_class_id must be another class")
    if from_class_id and not await connection.fetchval(_HAS_CLASS, from_class_id):
        raise Unknown("from_class_id", from_class_id)
    student_id = await connection.fetchval(_SELECT_STUDENT, body.student_id, body.user_id)
    if student_id is None:
        raise Unknown("student_id", body.student_id or body.user_id)
    now = await connection.fetchval("SELECT clock_timestamp()")
    until = min(now, in_utc(body.until)) if body.until else now
    return Move(student_id, from_class_id, class_id, in_utc(body.since), until)


async def move_some(connection: asyncpg.Connection, move: Move) -> int:
    """Moves up to 2,000 events, and counts the student anew; returns how many, 0 at the end.

    Call it in a transaction of its own.
    """
    moved: int = await connection.fetchval(
        _MOVE,
        move.student_id,
        move.from_class_id,
        move.class_id,
        move.since,
        move.until,
        _ROWS,
        timeout=_TIMEOUT,
    )
    return moved


_HAS_CLASS = "SELECT true FROM classes WHERE id = $1"

_SELECT_STUDENT = """
    SELECT COALESCE(merged_into, id) FROM students WHERE id = $1 OR user_id = $2
"""

_MOVE = "SELECT assign_rows($1, $2, $3, $4, $5, $6)"
