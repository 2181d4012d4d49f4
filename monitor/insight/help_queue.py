"""The help queue of a class: open help requests, since when, and who has taken them."""

from datetime import datetime, timedelta

import asyncpg
import msgspec

from monitor.database.reads import Reads
from monitor.errors import NotFound
from monitor.insight.class_state import HELP_TIMEOUT

_LOOK_BACK = timedelta(hours=12)  # to find when a request began


class LastError(msgspec.Struct):
    """A student's last failed execution. `error` and `code` are cut at 10,000 characters."""

    at: datetime
    error: str | None
    code: str | None


class HelpRequest(msgspec.Struct, kw_only=True):
    """An open help request, made at `asked_at` and last confirmed at `repeated_at`.

    Notebook and cell are those of the student's last execution; `cell_position` is the cell's
    index, from 0. `taken_by` is null while nobody has taken the request.
    """

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


async def help_queue(reads: Reads, class_id: int) -> list[HelpRequest]:
    """Requests that nobody has taken first, then the oldest first. Raises NotFound.

    From the primary: a teacher who has just taken a request sees that they have.
    """
    if not await reads.fetch_current("SELECT id FROM classes WHERE id = $1", class_id):
        raise NotFound(f"There is no class {class_id}")
    rows = await reads.fetch_current(_SELECT_OPEN, class_id, HELP_TIMEOUT, _LOOK_BACK)
    return [_request(row) for row in rows]


def _request(row: asyncpg.Record) -> HelpRequest:
    fields = dict(row)
    at, error, code = (fields.pop(name) for name in ("error_at", "error", "error_code"))
    return HelpRequest(**fields, last_error=None if at is None else LastError(at, error, code))


_SELECT_OPEN = """
    SELECT s.id AS student_id, s.user_id, s.name, s.team, request.asked_at,
        latest.received_at AS repeated_at, n.path AS notebook_path,
        c.cell_id, c.position AS cell_position,
        failure.executed_at AS error_at, failure.error, failure.code AS error_code,
        h.taken_by, h.taken_at
    FROM student_classes AS m
    JOIN students AS s ON s.id = m.student_id
    JOIN LATERAL (
        SELECT received_at FROM events AS e
        WHERE e.student_id = s.id AND e.event_time = s.help_at AND e.event_type = 'help'
            AND e.received_at > now() - $2::interval AND e.event_time > e.received_at - $2::interval
        ORDER BY received_at DESC LIMIT 1
    ) AS latest ON true
    CROSS JOIN LATERAL (
        SELECT received_at AS asked_at FROM events AS e
        WHERE e.student_id = s.id AND e.event_type = 'help' AND e.event_time <= s.help_at
            AND e.event_time > GREATEST(s.help_stop_at, s.help_at - $3::interval)
        ORDER BY event_time LIMIT 1
    ) AS request
    LEFT JOIN help_requests AS h ON h.student_id = s.id
        AND h.after_stop = COALESCE(s.help_stop_at, '-infinity')
    LEFT JOIN LATERAL (
        SELECT notebook_id, cell_id FROM cell_executions AS e
        WHERE e.student_id = s.id AND e.executed_at > s.help_at - $3::interval
        ORDER BY executed_at DESC LIMIT 1
    ) AS last_run ON true
    LEFT JOIN LATERAL (
        SELECT * FROM (
            SELECT executed_at, status, left(error, 10000) AS error, left(code, 10000) AS code
            FROM cell_executions AS e
            WHERE e.student_id = s.id AND e.executed_at > s.help_at - $3::interval
            ORDER BY executed_at DESC LIMIT 100
        ) AS recent WHERE status = 'error' LIMIT 1
    ) AS failure ON true
    LEFT JOIN notebooks AS n ON n.id = last_run.notebook_id
    LEFT JOIN cells AS c ON c.id = last_run.cell_id
    WHERE m.class_id = $1 AND m.role = 'student' AND s.help_active AND h.resolved_at IS NULL
    ORDER BY h.taken_at IS NOT NULL, request.asked_at, s.id
"""
