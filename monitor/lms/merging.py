"""Says that two ids are one student's.

Roster lines, submissions and tokens move at once; home rows follow in the background
(`monitor.jobs.withdrawing`), and events that still come with the old id are stored under the new
one.
"""

import asyncpg
import msgspec

from monitor.database.paging import Id
from monitor.database.resource import Invalid, Unknown
from monitor.errors import Conflict, NotFound


class MergeRequest(msgspec.Struct):
    """`into` is the id (`students.id`) that stays."""

    into: Id


class Merged(msgspec.Struct):
    """The id that was merged, and the one that stays."""

    student_id: int
    user_id: str
    into: int
    into_user_id: str


async def merge(connection: asyncpg.Connection, student_id: int, into: int) -> Merged:
    """Raises NotFound, Unknown and Invalid for `into`, and Conflict if one is merged already."""
    if into == student_id:
        raise Invalid("into", "into must be another student")
    await connection.execute(_HOLD_CLASSES, [student_id, into])
    rows = await connection.fetch(_LOCK, [student_id, into])
    students = {row["id"]: row for row in rows}
    if student_id not in students:
        raise NotFound(f"There is no student {student_id}")
    if into not in students:
        raise Unknown("into", into)
    for row in rows:
        if row["merged_into"] is not None:
            raise Conflict(f"The student {row['id']} is merged into {row['merged_into']} already")
    await connection.execute(_MERGE, student_id, into)
    return Merged(student_id, students[student_id]["user_id"], into, students[into]["user_id"])


# The seat that one of them gives to the other: see `monitor.lms.rooms.hold`.
_HOLD_CLASSES = """
    SELECT FROM classes
    WHERE id IN (SELECT class_id FROM student_classes WHERE student_id = ANY ($1))
    ORDER BY id FOR NO KEY UPDATE
"""

_LOCK = """
    SELECT id, user_id, merged_into FROM students WHERE id = ANY ($1) ORDER BY id FOR UPDATE
"""

_MERGE = "SELECT merge_students($1, $2)"
