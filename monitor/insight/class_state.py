"""The state of a class now: what each student is doing, where, and how it goes."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.reads import Reads
from monitor.insight.query import Query, class_students

MAX_ERRORS_IN_A_ROW = 100  # more are not counted
HELP_TIMEOUT = timedelta(seconds=30)  # a request ends this long after its last `help` event


class ClassStateQuery(Query, frozen=True, kw_only=True):
    """`idle_after`: seconds without an event after which a student is idle.

    `at`: an earlier time instead of now; without a zone it is UTC.
    """

    idle_after: Annotated[int, msgspec.Meta(ge=10, le=86_400)] = 300
    at: datetime | UnsetType = UNSET


class StudentState(msgspec.Struct):
    """A student of a class.

    `state` is `help` if the help button is on, which the extension has confirmed within 30 s, and
    no teacher has resolved the request; otherwise `idle` without an event for `idle_after`
    seconds, `error` if the last execution failed, and `active` in all other cases. Notebook and
    cell are where the student was last; `cell_position` is the cell's index, from 0. `executions`
    and `errors` are totals. Errors in a row are counted up to 100. Times are the server's.
    """

    student_id: int
    user_id: str
    name: str | None
    team: str | None
    state: Literal["help", "idle", "error", "active"]
    notebook_id: int | None
    notebook_path: str | None
    cell_id: str | None
    cell_position: int | None
    executions: int
    errors: int
    errors_in_a_row: int
    last_heard_at: datetime | None


async def class_state(reads: Reads, class_id: int, query: ClassStateQuery) -> list[StudentState]:
    """In the order of their user_id. Raises NotFound."""
    await reads.ensure_counted()
    students = await class_students(reads, class_id)
    rows = await reads.fetch(
        _SELECT_STATES,
        list(students),
        MAX_ERRORS_IN_A_ROW,
        HELP_TIMEOUT,
        timedelta(seconds=query.idle_after),
    )
    return [StudentState(**row) for row in rows]


_SELECT_STATES = """
    SELECT s.id AS student_id, s.user_id, s.name, s.team,
        CASE WHEN help.is_active THEN 'help'
            WHEN s.last_received_at IS NULL OR s.last_received_at < now() - $4::interval THEN 'idle'
            WHEN failures.in_a_row > 0 THEN 'error'
            ELSE 'active' END AS state,
        p.notebook_id, n.path AS notebook_path, c.cell_id, c.position AS cell_position,
        s.executions, s.errors, failures.in_a_row AS errors_in_a_row,
        s.last_received_at AS last_heard_at
    FROM students AS s
    LEFT JOIN student_progress AS p ON p.student_id = s.id
    LEFT JOIN notebooks AS n ON n.id = p.notebook_id
    LEFT JOIN cells AS c ON c.id = p.cell_id AND c.notebook_id = p.notebook_id
    CROSS JOIN LATERAL (
        SELECT count(*)::integer AS in_a_row FROM (
            SELECT FROM cell_executions AS e
            WHERE s.errors > 0 AND e.student_id = s.id AND e.status = 'error'
                AND e.executed_at > COALESCE(p.last_success_at, '-infinity')
            LIMIT $2
        ) AS e
    ) AS failures
    CROSS JOIN LATERAL (
        SELECT s.help_active AND EXISTS (
            SELECT FROM events AS e
            WHERE e.student_id = s.id AND e.event_time = s.help_at AND e.event_type = 'help'
                AND e.received_at > now() - $3::interval
                AND e.event_time > e.received_at - $3::interval
        ) AND NOT EXISTS (
            SELECT FROM help_requests AS h
            WHERE h.student_id = s.id AND h.after_stop = COALESCE(s.help_stop_at, '-infinity')
                AND h.resolved_at IS NOT NULL
        ) AS is_active
    ) AS help
    WHERE s.id = ANY ($1::bigint[])
    ORDER BY s.user_id
"""
