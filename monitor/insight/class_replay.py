"""The state of a class at an earlier time: teachers replay a lesson with it."""

from datetime import datetime, timedelta
from typing import Any

from monitor.database.reads import Reads
from monitor.events.event import in_utc
from monitor.insight.class_state import (
    HELP_TIMEOUT,
    MAX_ERRORS_IN_A_ROW,
    ClassStateQuery,
    StudentState,
)
from monitor.insight.packed_counts import unpack
from monitor.insight.query import class_students

_LOOK_BACK = timedelta(hours=12)  # to find where a student was


async def class_state_at(
    reads: Reads, class_id: int, at: datetime, query: ClassStateQuery
) -> list[StudentState]:
    """What `class_state` answered at that time, for today's students. Raises NotFound."""
    await reads.ensure_counted()
    students = await class_students(reads, class_id)
    rows = await reads.fetch(
        _SELECT_STATES,
        list(students),
        in_utc(at),
        HELP_TIMEOUT,
        timedelta(seconds=query.idle_after),
        _LOOK_BACK,
        MAX_ERRORS_IN_A_ROW,
    )
    return [_state(dict(row)) for row in rows]


def _state(row: dict[str, Any]) -> StudentState:
    for name in ("executions", "errors"):
        row[name] -= sum(unpack(row.pop(f"later_{name}")))
    return StudentState(**row)


# Reads a few rows per student, by the tables' keys. Executions after `at` are subtracted from the
# total: those of later days, later hours of its day, later minutes of its hour (packed counts;
# `div(…, one)` drops the counts up to that hour or minute), and the rest of its minute.
_SELECT_STATES = """
    SELECT s.id AS student_id, s.user_id, s.name, s.team,
        CASE WHEN help.is_active THEN 'help'
            WHEN latest.heard_at IS NULL OR latest.heard_at < $2 - $4::interval THEN 'idle'
            WHEN failures.in_a_row > 0 THEN 'error'
            ELSE 'active' END AS state,
        latest.notebook_id, n.path AS notebook_path, c.cell_id, c.position AS cell_position,
        s.executions - rest_of_minute.executions AS executions,
        s.errors - rest_of_minute.errors AS errors,
        later.executions AS later_executions, later.errors AS later_errors,
        failures.in_a_row AS errors_in_a_row,
        latest.heard_at AS last_heard_at
    FROM students AS s
    CROSS JOIN LATERAL (
        SELECT max(at) AS heard_at,
            (array_agg(e.notebook_id ORDER BY at DESC)
                FILTER (WHERE e.notebook_id IS NOT NULL))[1] AS notebook_id,
            (array_agg(e.cell_id ORDER BY at DESC)
                FILTER (WHERE e.cell_id IS NOT NULL))[1] AS cell_id
        FROM (
            (SELECT executed_at AS at, notebook_id, cell_id FROM cell_executions
             WHERE student_id = s.id
                 AND executed_at BETWEEN $2::timestamptz - $5::interval AND $2
             ORDER BY executed_at DESC LIMIT 1)
            UNION ALL
            (SELECT event_time, notebook_id, cell_id FROM events
             WHERE student_id = s.id AND event_time BETWEEN $2 - $5 AND $2
             ORDER BY event_time DESC LIMIT 1)
            UNION ALL
            (SELECT accessed_at, notebook_id, NULL FROM notebook_accesses
             WHERE student_id = s.id AND accessed_at BETWEEN $2 - $5 AND $2
             ORDER BY accessed_at DESC LIMIT 1)
        ) AS e
    ) AS latest
    LEFT JOIN notebooks AS n ON n.id = latest.notebook_id
    LEFT JOIN cells AS c ON c.id = latest.cell_id AND c.notebook_id = latest.notebook_id
    CROSS JOIN LATERAL (
        SELECT count(*)::integer AS in_a_row FROM (
            SELECT FROM cell_executions
            WHERE student_id = s.id AND executed_at <= $2 AND executed_at > COALESCE((
                SELECT executed_at FROM cell_executions
                WHERE student_id = s.id AND executed_at BETWEEN $2 - $5 AND $2
                    AND status = 'success'
                ORDER BY executed_at DESC LIMIT 1
            ), $2 - $5)
            LIMIT $6
        ) AS e
    ) AS failures
    CROSS JOIN LATERAL (
        SELECT COALESCE(sum(executions), 0)::text AS executions,
            COALESCE(sum(errors), 0)::text AS errors
        FROM (
            SELECT executions, errors FROM student_activity
            WHERE student_id = s.id AND step = 3600 AND start > $2
            UNION ALL
            SELECT div(executions, one), div(errors, one) FROM student_activity,
                one_at(1 + extract(hour FROM $2 AT TIME ZONE 'UTC')::integer) AS one
            WHERE student_id = s.id AND step = 3600
                AND start = date_trunc('day', $2, 'UTC')
            UNION ALL
            SELECT div(executions, one), div(errors, one) FROM student_activity,
                one_at(1 + extract(minute FROM $2 AT TIME ZONE 'UTC')::integer) AS one
            WHERE student_id = s.id AND step = 60 AND start = date_trunc('hour', $2, 'UTC')
        ) AS a
    ) AS later
    CROSS JOIN LATERAL (
        SELECT count(*) AS executions, count(*) FILTER (WHERE status = 'error') AS errors
        FROM cell_executions
        WHERE student_id = s.id AND executed_at > $2
            AND executed_at < date_trunc('minute', $2, 'UTC') + interval '1 minute'
    ) AS rest_of_minute
    CROSS JOIN LATERAL (
        SELECT EXISTS (
            SELECT FROM events AS e
            WHERE e.student_id = s.id AND e.event_type = 'help'
                AND e.event_time > $2 - $3::interval AND e.event_time <= $2
                AND e.event_time > e.received_at - $3
                AND NOT EXISTS (
                    SELECT FROM events AS stop
                    WHERE stop.student_id = s.id AND stop.event_type = 'help_stop'
                        AND stop.event_time >= e.event_time AND stop.event_time <= $2
                )
        ) AND NOT EXISTS (
            SELECT FROM help_requests AS h
            WHERE h.student_id = s.id AND h.resolved_at <= $2 AND NOT EXISTS (
                SELECT FROM events AS stop
                WHERE stop.student_id = s.id AND stop.event_type = 'help_stop'
                    AND stop.event_time > GREATEST(h.after_stop, $2 - $5)
                    AND stop.event_time <= $2
            )
        ) AS is_active
    ) AS help
    WHERE s.id = ANY ($1::bigint[])
    ORDER BY s.user_id
"""
