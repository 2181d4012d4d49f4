"""The state of a class at an earlier time: teachers replay a lesson with it."""

from datetime import datetime, timedelta
from typing import Any

from monitor.database.members import CLASS_MEMBERS
from monitor.database.pool import Connection
from monitor.events.event import in_utc
from monitor.insight.class_state import (
    HELP_TIMEOUT,
    MAX_ERRORS_IN_A_ROW,
    ClassStateQuery,
    StudentState,
)
from monitor.insight.packed_counts import unpack
from monitor.insight.places import place
from monitor.insight.query import ClassIds, class_students

_LOOK_BACK = timedelta(hours=12)  # to find where a student was


async def class_state_at(
    connection: Connection, class_ids: ClassIds, at: datetime, query: ClassStateQuery
) -> list[StudentState]:
    """What `class_state` answered at that time, for today's students. Raises NotFound.

    By the times put right. Verified are those who are now.
    """
    students = await connection.fetch(_SELECT_STUDENTS, class_ids)
    if not students:
        await class_students(connection, class_ids)
    rows = await connection.fetch(
        _SELECT_STATES,
        class_ids,
        in_utc(at),
        HELP_TIMEOUT,
        timedelta(seconds=query.idle_after),
        _LOOK_BACK,
        MAX_ERRORS_IN_A_ROW,
        *_columns(students, "student_id", "least_offset", "greatest_offset"),
        min((each["least_offset"] for each in students), default=0),
        max((each["greatest_offset"] for each in students), default=0),
    )
    states = {row["student_id"]: row for row in rows}
    return [_state({**each, **states[each["student_id"]]}) for each in students]


def _columns(rows: list[Any], *names: str) -> list[list[Any]]:
    return [[row[name] for row in rows] for name in names]


def _state(row: dict[str, Any]) -> StudentState:
    for name in ("executions", "errors"):
        row[name] -= row.pop(f"{name}_in_minute") + sum(unpack(row.pop(f"later_{name}")))
    for name in ("least_offset", "greatest_offset"):
        del row[name]
    return StudentState(**row)


_SELECT_STUDENTS = f"""
    SELECT student_id, user_id, name, team, executions, errors, verified,
        least_offset, greatest_offset
    FROM ({CLASS_MEMBERS}) AS m WHERE role = 'student' ORDER BY user_id
"""  # noqa: S608 - constants


def _rows(table: str, time: str, value: str, condition: str, since: str) -> str:
    """The rows of the student `s` claimed from `since` on and put right by `$2`, with that as `at`.

    The second range, the same for all students, lets PostgreSQL leave out partitions at once.
    """
    return f"""
        SELECT put_right(received_at, {time}, clock_offset) AS at, {value} AS value FROM {table}
        WHERE student_id = s.id AND class_id = ANY ($1::bigint[]) AND excluded IS NULL
            AND {condition}
            AND {time} BETWEEN {since} AND s.until
            AND {time} >= $2::timestamptz - $5::interval - $11::bigint * interval '1 microsecond'
            AND {time} <= $2 - $10::bigint * interval '1 microsecond'
            AND put_right(received_at, {time}, clock_offset) BETWEEN $2 - $5 AND $2
    """  # noqa: S608 - constants


def _latest_row(table: str, time: str, value: str, condition: str, since: str = "s.since") -> str:
    """The latest of these rows by the time put right.

    The table's key has the claimed times. No later row is claimed before the time put right of the
    one that is claimed last, less the greatest offset. Mostly both are the same row.
    """
    claimed_last = _rows(table, time, value, condition, since) + f"ORDER BY {time} DESC LIMIT 1"
    since = f"(SELECT at FROM ({claimed_last}) AS claimed_last) - s.greatest"  # noqa: S608 - constants
    return f"({_rows(table, time, value, condition, since)} ORDER BY at DESC LIMIT 1)"


def _latest(value: str, condition: str) -> str:
    """The latest row of all three tables."""
    rows = " UNION ALL ".join(
        _latest_row(table, time, value, condition)
        for table, time in (
            ("cell_executions", "executed_at"),
            ("events", "event_time"),
            ("notebook_accesses", "accessed_at"),
        )
    )
    return f"LATERAL (SELECT * FROM ({rows}) AS e ORDER BY at DESC LIMIT 1)"  # noqa: S608 - constants


_SUCCESS = _latest_row("cell_executions", "executed_at", "NULL", "status = 'success'")
_ERRORS = _rows(
    "cell_executions",
    "executed_at",
    "NULL",
    "status = 'error'",
    since="COALESCE(success.at - s.greatest, s.since)",
)
# A call that was old when it arrived showed nothing.
_HELP = _latest_row(
    "events",
    "event_time",
    "NULL",
    "event_type = 'help'"
    " AND put_right(received_at, event_time, clock_offset) > received_at - $3::interval",
    since="$2 - $3::interval - s.greatest",
)
_HELP_STOP = _latest_row("events", "event_time", "NULL", "event_type = 'help_stop'")

# Reads a few rows per student, by the tables' keys. Executions after `at` are subtracted from the
# total: those of later days, later hours of its day, later minutes of its hour (packed counts;
# `div(…, one)` drops the counts up to that hour or minute), and the rest of its minute.
_SELECT_STATES = f"""
    SELECT s.id AS student_id,
        CASE WHEN help.is_active THEN 'help'
            WHEN heard.at IS NULL OR heard.at < $2::timestamptz - $4::interval THEN 'idle'
            WHEN failures.in_a_row > 0 THEN 'error'
            ELSE 'active' END AS state,
        place.notebook_id, place.notebook_path, place.cell_id, place.cell_position,
        rest_of_minute.executions AS executions_in_minute,
        rest_of_minute.errors AS errors_in_minute,
        later.executions AS later_executions, later.errors AS later_errors,
        failures.in_a_row AS errors_in_a_row,
        heard.at AS last_heard_at
    FROM (
        SELECT id, greatest * interval '1 microsecond' AS greatest,
            $2::timestamptz - $5::interval - greatest * interval '1 microsecond' AS since,
            $2 - least * interval '1 microsecond' AS until,
            date_trunc('minute', $2, 'UTC') + interval '1 minute' AS minute_end,
            least * interval '1 microsecond' AS least
        FROM unnest($7::bigint[], $8::bigint[], $9::bigint[]) AS each (id, least, greatest) OFFSET 0
    ) AS s
    LEFT JOIN {_latest("NULL::bigint", "true")} AS heard ON true
    LEFT JOIN {_latest("alias_id", "alias_id IS NOT NULL")} AS named ON true
    LEFT JOIN {_latest("cell_id", "cell_id IS NOT NULL")} AS reached ON true
    LEFT JOIN {place(alias="named.value", cell="reached.value", class_id="($1)[1]")}
        AS place ON true
    LEFT JOIN LATERAL {_SUCCESS} AS success ON true
    CROSS JOIN LATERAL (
        SELECT count(*)::integer AS in_a_row FROM (
            SELECT FROM ({_ERRORS}) AS e
            WHERE success.at IS NULL OR e.at > success.at LIMIT $6
        ) AS e
    ) AS failures
    CROSS JOIN LATERAL (
        SELECT COALESCE(sum(executions), 0)::text AS executions,
            COALESCE(sum(errors), 0)::text AS errors
        FROM (
            SELECT executions, errors FROM student_activity
            WHERE student_id = s.id AND class_id = ANY ($1) AND step = 3600 AND start > $2
            UNION ALL
            SELECT div(executions, one), div(errors, one) FROM student_activity,
                one_at(1 + extract(hour FROM $2 AT TIME ZONE 'UTC')::integer) AS one
            WHERE student_id = s.id AND class_id = ANY ($1) AND step = 3600
                AND start = date_trunc('day', $2, 'UTC')
            UNION ALL
            SELECT div(executions, one), div(errors, one) FROM student_activity,
                one_at(1 + extract(minute FROM $2 AT TIME ZONE 'UTC')::integer) AS one
            WHERE student_id = s.id AND class_id = ANY ($1) AND step = 60
                AND start = date_trunc('hour', $2, 'UTC')
        ) AS a
    ) AS later
    CROSS JOIN LATERAL (
        SELECT count(*) AS executions, count(*) FILTER (WHERE status = 'error') AS errors
        FROM cell_executions
        WHERE student_id = s.id AND class_id = ANY ($1) AND excluded IS NULL
            AND status <> 'rendered'
            AND executed_at > $2 - s.greatest AND executed_at < s.minute_end - s.least
            AND put_right(received_at, executed_at, clock_offset) > $2
            AND put_right(received_at, executed_at, clock_offset) < s.minute_end
    ) AS rest_of_minute
    LEFT JOIN LATERAL {_HELP} AS call ON true
    LEFT JOIN LATERAL {_HELP_STOP} AS stop ON true
    CROSS JOIN LATERAL (
        SELECT COALESCE(call.at > $2 - $3, false) AND (stop.at IS NULL OR call.at > stop.at)
            AND NOT EXISTS (
                SELECT FROM help_requests AS h
                WHERE h.student_id = s.id AND h.class_id = ANY ($1) AND h.resolved_at <= $2
                    AND (stop.at IS NULL OR h.after_stop >= stop.at)
            ) AS is_active
    ) AS help
"""  # noqa: S608 - constants
