"""Help requests: teachers take and settle them, put them back into the queue, and undo that.

A request is a student's call for help (`monitor.database.calls`) in the class where it stands. On
an open server it may stand in no class, which is class 0, and then in the queue of each of the
student's classes. An answer refers to the heartbeat that was the latest then: events that arrive
late may change when the call began, but this heartbeat remains a part of it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal, NamedTuple

import asyncpg
import msgspec

from monitor.database.calls import ANSWER, MEMBER_CALLS
from monitor.database.members import CLASS_MEMBERS
from monitor.database.pool import Connection
from monitor.errors import Conflict, NotFound

HelpStatus = Literal["waiting", "taken", "resolved"]
Action = Literal["take", "resolve", "return"]

_UNDO_TIME = timedelta(seconds=15)  # pages offer it for 10 s


class HelpAction(msgspec.Struct):
    """A teacher takes or resolves a request, under the `name` that others see."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class HelpChange(msgspec.Struct, rename="camel"):
    """The `data` of a `help_request`: by what `name` did, the student's request has this status.

    `taken_by` and `taken_at` are null unless it is taken.
    """

    student_id: int
    user_id: str
    status: HelpStatus
    name: str
    at: datetime
    taken_by: str | None
    taken_at: datetime | None


class HelpOutcome(NamedTuple):
    """A change of a request, and the classes in whose queues it stands, which are notified."""

    change: HelpChange
    class_ids: list[int]


async def act(
    connection: Connection, class_ids: list[int], student_id: int, action: Action, name: str
) -> HelpOutcome:
    """What a teacher called `name` does to a request.

    `class_ids` are the class, and 0 after it on an open server. What somebody else has taken may be
    resolved and returned, too. Raises NotFound, and Conflict if the request doesn't ask for help
    any more, is resolved, is taken by somebody else, or, to be returned, by nobody.
    """
    call = await _call(connection, class_ids, student_id)
    answer = await connection.fetchrow(_ACTIONS[action], *_key(call), name)
    return await _outcome(connection, call, name, answer)


async def undo(
    connection: Connection, class_ids: list[int], student_id: int, name: str
) -> HelpOutcome:
    """Undoes the last change of a request, if `name` has made it in the past 15 s.

    Raises NotFound and Conflict.
    """
    call = await _call(connection, class_ids, student_id)
    answer = await connection.fetchrow(_UNDO, *_key(call)[:3], name, _UNDO_TIME)
    if answer is None:
        raise Conflict(f"{name} has done nothing to this request in the past 15 s")
    return await _outcome(connection, call, name, answer)


async def _call(connection: Connection, class_ids: list[int], student_id: int) -> asyncpg.Record:
    # Of two teachers who act at once the second one sees what the first has done.
    await connection.execute(_LOCK, student_id)
    call = await connection.fetchrow(_SELECT_CALL, class_ids, student_id)
    if call is None:
        raise NotFound(f"There is no student {student_id} in the class {class_ids[0]}")
    if not call["is_calling"]:
        raise Conflict(f"{call['user_id']} doesn't ask for help any more")
    return call


def _key(call: asyncpg.Record) -> tuple[int, int, datetime, datetime]:
    return call["student_id"], call["call_class"], call["began_at"], call["help_at"]


async def _outcome(
    connection: Connection, call: asyncpg.Record, name: str, answer: asyncpg.Record | None
) -> HelpOutcome:
    """The change that led to this answer; None if the request was in another state."""
    if answer is None:
        raise Conflict(_refusal(await connection.fetchrow(_SELECT_REQUEST, *_key(call)[:3])))
    is_taken = answer["taken_at"] is not None and answer["returned_at"] is None
    status: HelpStatus = "taken" if is_taken else "waiting"
    if answer["resolved_at"] is not None:
        status = "resolved"
    change = HelpChange(
        student_id=call["student_id"],
        user_id=call["user_id"],
        status=status,
        name=name,
        at=answer["at"],
        taken_by=answer["taken_by"] if status == "taken" else None,
        taken_at=answer["taken_at"] if status == "taken" else None,
    )
    return HelpOutcome(change, call["class_ids"])


def _refusal(request: asyncpg.Record | None) -> str:
    if request is None or (request["resolved_by"] is None and request["returned_by"] is not None):
        return "Nobody has taken this request"
    done = "resolved" if request["resolved_by"] else "taken"
    return f"{request[f'{done}_by']} has {done} it already"


_LOCK = "SELECT pg_advisory_xact_lock(hashtext('help_requests'), hashtext($1::bigint::text))"

# `began_at` is the key of the answer to the call, if there is one: events that arrived late may
# have changed when the call began.
_SELECT_CALL = f"""
    SELECT m.student_id, m.user_id, m.is_calling, m.help_at,
        COALESCE(answer.class_id, m.call_class) AS call_class,
        COALESCE(answer.began_at, request.asked_at, m.help_at) AS began_at,
        CASE WHEN m.call_class = m.class_id THEN ARRAY[m.class_id] ELSE ARRAY(
            SELECT class_id FROM student_classes
            WHERE student_id = m.student_id AND role = 'student' ORDER BY 1
        ) END AS class_ids
    FROM ({CLASS_MEMBERS}) AS m
    LEFT JOIN LATERAL (
        SELECT max(began_at) AS asked_at FROM {MEMBER_CALLS} WHERE m.is_calling
    ) AS request ON true
    LEFT JOIN LATERAL (
        {ANSWER}
    ) AS answer ON true
    WHERE m.student_id = $2 AND m.role = 'student'
"""  # noqa: S608 - constants

_SELECT_REQUEST = """
    SELECT taken_by, returned_by, resolved_by FROM help_requests
    WHERE student_id = $1 AND class_id = $2 AND began_at = $3
"""

_TAKE = """
    INSERT INTO help_requests AS h (student_id, class_id, began_at, heard_at, taken_by, taken_at)
    VALUES ($1, $2, $3, $4, $5, now())
    ON CONFLICT (student_id, class_id, began_at) DO UPDATE SET
        taken_by = $5, heard_at = $4, returned_by = NULL, returned_at = NULL,
        taken_at = CASE WHEN h.taken_by = $5 AND h.returned_at IS NULL
            THEN h.taken_at ELSE EXCLUDED.taken_at END
    WHERE (h.taken_by IS NULL OR h.taken_by = $5 OR h.returned_at IS NOT NULL)
        AND h.resolved_at IS NULL
    RETURNING h.*, taken_at AS at
"""

_RESOLVE = """
    INSERT INTO help_requests AS h
        (student_id, class_id, began_at, heard_at, resolved_by, resolved_at)
    VALUES ($1, $2, $3, $4, $5, now())
    ON CONFLICT (student_id, class_id, began_at) DO UPDATE SET
        heard_at = $4, resolved_by = $5, resolved_at = EXCLUDED.resolved_at
    WHERE h.resolved_at IS NULL
    RETURNING h.*, resolved_at AS at
"""

_RETURN = """
    UPDATE help_requests AS h SET returned_by = $5, returned_at = now(), heard_at = $4
    WHERE student_id = $1 AND class_id = $2 AND began_at = $3
        AND taken_at IS NOT NULL AND returned_at IS NULL AND resolved_at IS NULL
    RETURNING h.*, returned_at AS at
"""

_ACTIONS: Mapping[Action, str] = {"take": _TAKE, "resolve": _RESOLVE, "return": _RETURN}

_UNDO = """
    UPDATE help_requests AS h SET
        taken_by = CASE WHEN last = 'taken' THEN NULL ELSE taken_by END,
        taken_at = CASE WHEN last = 'taken' THEN NULL ELSE taken_at END,
        returned_by = CASE WHEN last = 'returned' THEN NULL ELSE returned_by END,
        returned_at = CASE WHEN last = 'returned' THEN NULL ELSE returned_at END,
        resolved_by = NULL, resolved_at = NULL
    FROM (
        SELECT now() AS at, CASE WHEN resolved_at IS NOT NULL THEN 'resolved'
                WHEN returned_at IS NOT NULL THEN 'returned' ELSE 'taken' END AS last,
            COALESCE(resolved_by, returned_by, taken_by) AS last_by,
            COALESCE(resolved_at, returned_at, taken_at) AS last_at
        FROM help_requests WHERE student_id = $1 AND class_id = $2 AND began_at = $3
    ) AS change
    WHERE student_id = $1 AND class_id = $2 AND began_at = $3
        AND last_by = $4 AND last_at > now() - $5::interval
    RETURNING h.*, change.at
"""
