"""Help requests: teachers take and settle them.

A student's request is identified by the class it stands in and their last `help_stop` there before
it: another one needs a new stop. It is settled in that class and in no other. On an open server it
may stand in no class, which is class 0, and then in the queue of each of the student's classes.
"""

from datetime import datetime
from typing import Annotated, Literal, NamedTuple

import asyncpg
import msgspec

from monitor.database.members import CLASS_MEMBERS
from monitor.database.pool import Connection
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
    """A change of a request, and the classes in whose queues it stands, which are notified."""

    change: HelpChange
    class_ids: list[int]


async def take(
    connection: Connection, class_ids: list[int], student_id: int, name: str
) -> HelpOutcome:
    """`class_ids` are the class, and 0 after it on an open server.

    Raises NotFound, and Conflict if somebody else has taken it or it is resolved.
    """
    call = await _call(connection, class_ids, student_id)
    at = await connection.fetchval(_TAKE, *_key(call), name)
    return await _outcome(connection, call, "taken", name, at)


async def resolve(
    connection: Connection, class_ids: list[int], student_id: int, name: str
) -> HelpOutcome:
    """Also a request that somebody else has taken; otherwise as `take`."""
    call = await _call(connection, class_ids, student_id)
    at = await connection.fetchval(_RESOLVE, *_key(call), name)
    return await _outcome(connection, call, "resolved", name, at)


async def _call(connection: Connection, class_ids: list[int], student_id: int) -> asyncpg.Record:
    call = await connection.fetchrow(_SELECT_CALL, class_ids, student_id)
    if call is None:
        raise NotFound(f"There is no student {student_id} in the class {class_ids[0]}")
    if not call["is_calling"]:
        raise Conflict(f"{call['user_id']} doesn't ask for help any more")
    return call


def _key(call: asyncpg.Record) -> tuple[int, int, datetime]:
    return call["student_id"], call["call_class"], call["after_stop"]


async def _outcome(
    connection: Connection,
    call: asyncpg.Record,
    status: HelpStatus,
    name: str,
    at: datetime | None,
) -> HelpOutcome:
    """The change made `at` this time; None if the request was in another state."""
    if at is None:
        request = await connection.fetchrow(_SELECT_REQUEST, *_key(call))
        earlier = "resolved" if request["resolved_by"] else "taken"
        raise Conflict(f"{request[f'{earlier}_by']} has {earlier} it already")
    change = HelpChange(call["student_id"], call["user_id"], status, name, at)
    return HelpOutcome(change, call["class_ids"])


_SELECT_CALL = f"""
    SELECT m.student_id, m.user_id, m.is_calling, m.call_class, m.after_stop,
        CASE WHEN m.call_class = m.class_id THEN ARRAY[m.class_id] ELSE ARRAY(
            SELECT class_id FROM student_classes
            WHERE student_id = m.student_id AND role = 'student' ORDER BY 1
        ) END AS class_ids
    FROM ({CLASS_MEMBERS}) AS m WHERE m.student_id = $2 AND m.role = 'student'
"""  # noqa: S608 - constants

_SELECT_REQUEST = """
    SELECT taken_by, resolved_by FROM help_requests
    WHERE student_id = $1 AND class_id = $2 AND after_stop = $3
"""

_TAKE = """
    INSERT INTO help_requests AS h (student_id, class_id, after_stop, taken_by, taken_at)
    VALUES ($1, $2, $3, $4, now())
    ON CONFLICT (student_id, class_id, after_stop) DO UPDATE SET taken_by = $4
    WHERE h.taken_by = $4 AND h.resolved_at IS NULL
    RETURNING taken_at
"""

_RESOLVE = """
    INSERT INTO help_requests AS h (student_id, class_id, after_stop, resolved_by, resolved_at)
    VALUES ($1, $2, $3, $4, now())
    ON CONFLICT (student_id, class_id, after_stop) DO UPDATE SET
        resolved_by = $4, resolved_at = now()
    WHERE h.resolved_at IS NULL
    RETURNING resolved_at
"""
