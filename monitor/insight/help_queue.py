"""The help queue: who asks for help, since when, and which teacher takes it."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

import asyncpg
import msgspec

from monitor.errors import Conflict, NotFound
from monitor.insight.class_state import HELP_LASTS

# How far back the beginning of a call is looked for.
_LONGEST = timedelta(hours=12)


class HelpAction(msgspec.Struct):
    """Who takes or resolves a request, as others shall see them."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class LastError(msgspec.Struct):
    """A student's last failed execution. Of long texts it has the first 10,000 characters."""

    at: datetime
    error: str | None
    code: str | None


class HelpRequest(msgspec.Struct, kw_only=True):
    """A student who asks for help, since `asked_at`; `repeated_at` is the last sign of it."""

    student_id: int
    user_id: str
    name: str | None
    team: str | None
    asked_at: datetime
    repeated_at: datetime
    notebook_path: str | None
    cell_id: str | None
    cell_position: int | None
    last_error: LastError | None
    taken_by: str | None
    taken_at: datetime | None


class HelpChange(msgspec.Struct, rename="camel"):
    """The `data` of a `help_request`."""

    student_id: int
    user_id: str
    status: Literal["taken", "resolved"]
    name: str
    at: datetime


class HelpOutcome(msgspec.Struct):
    """A request that was taken or resolved, and the classes that are to be told."""

    change: HelpChange
    classes: list[int]


async def queue(connection: asyncpg.Connection, class_id: int) -> list[HelpRequest]:
    """Those nobody has taken yet first, and then who has waited longest. Raises NotFound."""
    if not await connection.fetchval(_CLASS_EXISTS, class_id):
        raise NotFound(f"There is no class {class_id}")
    rows = await connection.fetch(_SELECT_OPEN, class_id, HELP_LASTS, _LONGEST)
    return [_request(row) for row in rows]


async def take(
    connection: asyncpg.Connection, class_id: int, student_id: int, name: str
) -> HelpOutcome:
    """Raises NotFound, and Conflict when somebody else has taken or resolved it."""
    return await _act(connection, class_id, student_id, name, "taken", _TAKE)


async def resolve(
    connection: asyncpg.Connection, class_id: int, student_id: int, name: str
) -> HelpOutcome:
    """Whoever has taken it. Raises NotFound, and Conflict when it is resolved."""
    return await _act(connection, class_id, student_id, name, "resolved", _RESOLVE)


async def _act(
    connection: asyncpg.Connection,
    class_id: int,
    student_id: int,
    name: str,
    status: Literal["taken", "resolved"],
    statement: str,
) -> HelpOutcome:
    student = await connection.fetchrow(_SELECT_CALL, class_id, student_id)
    if student is None:
        raise NotFound(f"There is no student {student_id} in the class {class_id}")
    if not student["help_active"]:
        raise Conflict(f"{student['user_id']} doesn't ask for help any more")
    at = await connection.fetchval(statement, student_id, student["after_stop"], name)
    if at is None:
        row = await connection.fetchrow(_SELECT_ACTS, student_id, student["after_stop"])
        done = "resolved" if row["resolved_by"] else "taken"
        raise Conflict(f"{row[f'{done}_by']} has {done} it already")
    change = HelpChange(student_id, student["user_id"], status, name, at)
    return HelpOutcome(change, student["classes"])


def _request(row: asyncpg.Record) -> HelpRequest:
    fields = dict(row)
    at, error, code = (fields.pop(name) for name in ("error_at", "error", "error_code"))
    return HelpRequest(**fields, last_error=None if at is None else LastError(at, error, code))


_CLASS_EXISTS = "SELECT EXISTS (SELECT FROM classes WHERE id = $1)"

_SELECT_OPEN = """
    SELECT s.id AS student_id, s.user_id, s.name, s.team, call.asked_at,
        last.received_at AS repeated_at, n.path AS notebook_path,
        c.cell_id, c.position AS cell_position,
        failed.executed_at AS error_at, failed.error, failed.code AS error_code,
        h.taken_by, h.taken_at
    FROM student_classes AS m
    JOIN students AS s ON s.id = m.student_id
    JOIN LATERAL (
        SELECT received_at FROM events AS e
        WHERE e.student_id = s.id AND e.event_time = s.help_at AND e.event_type = 'help'
            AND e.received_at > now() - $2::interval AND e.event_time > e.received_at - $2::interval
        ORDER BY received_at DESC LIMIT 1
    ) AS last ON true
    CROSS JOIN LATERAL (
        SELECT received_at AS asked_at FROM events AS e
        WHERE e.student_id = s.id AND e.event_type = 'help' AND e.event_time <= s.help_at
            AND e.event_time > GREATEST(s.help_stop_at, s.help_at - $3::interval)
        ORDER BY event_time LIMIT 1
    ) AS call
    LEFT JOIN help_requests AS h ON h.student_id = s.id
        AND h.after_stop = COALESCE(s.help_stop_at, '-infinity')
    LEFT JOIN LATERAL (
        SELECT notebook_id, cell_id FROM cell_executions AS e
        WHERE e.student_id = s.id AND e.executed_at > s.help_at - $3::interval
        ORDER BY executed_at DESC LIMIT 1
    ) AS ran ON true
    LEFT JOIN LATERAL (
        SELECT * FROM (
            SELECT executed_at, status, left(error, 10000) AS error, left(code, 10000) AS code
            FROM cell_executions AS e
            WHERE e.student_id = s.id AND e.executed_at > s.help_at - $3::interval
            ORDER BY executed_at DESC LIMIT 100
        ) AS recent WHERE status = 'error' LIMIT 1
    ) AS failed ON true
    LEFT JOIN notebooks AS n ON n.id = ran.notebook_id
    LEFT JOIN cells AS c ON c.id = ran.cell_id
    WHERE m.class_id = $1 AND m.role = 'student' AND s.help_active AND h.resolved_at IS NULL
    ORDER BY h.taken_at IS NOT NULL, call.asked_at, s.id
"""

_SELECT_CALL = """
    SELECT user_id, help_active, COALESCE(help_stop_at, '-infinity') AS after_stop,
        ARRAY(
            SELECT class_id FROM student_classes
            WHERE student_id = s.id AND role = 'student' ORDER BY 1
        ) AS classes
    FROM student_classes AS m JOIN students AS s ON s.id = m.student_id
    WHERE m.class_id = $1 AND s.id = $2 AND m.role = 'student'
"""

_SELECT_ACTS = """
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
