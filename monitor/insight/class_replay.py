"""The state of a class at an earlier time: teachers replay a lesson with it."""

from datetime import datetime, timedelta
from typing import Any

from monitor.database.calls import is_settled
from monitor.database.members import MAX_ERRORS_IN_A_ROW, class_page
from monitor.database.paging import Listing
from monitor.database.pool import Connection
from monitor.events.event import in_utc
from monitor.insight.cell_names import named, taken_name
from monitor.insight.class_state import HELP_TIMEOUT, ClassStateQuery, StudentState
from monitor.insight.copies import counted_places
from monitor.insight.failing import LOOK_BACK, failing
from monitor.insight.packed_counts import unpack
from monitor.insight.places import place
from monitor.insight.query import ClassIds, class_students
from monitor.insight.running import STARTED, idle_interval, still_running

_LOOK_BACK = timedelta(hours=12)  # to find where a student was


async def class_state_at(
    connection: Connection, class_ids: ClassIds, at: datetime, query: ClassStateQuery
) -> Listing[StudentState]:
    """What `class_state` answered at that time, for today's students. Raises NotFound.

    By the times put right. Verified are those who are now.
    """
    at = in_utc(at)
    students = await connection.fetch(_SELECT_STUDENTS, class_ids, query.skip, query.limit)
    if not students:
        return Listing([], len(await class_students(connection, class_ids)))
    total = students[0]["total"]
    ids, least, greatest = _columns(students, "student_id", "least_offset", "greatest_offset")
    rows = await connection.fetch(
        _SELECT_STATES,
        class_ids,
        at,
        HELP_TIMEOUT,
        timedelta(seconds=query.idle_after),
        _LOOK_BACK,
        MAX_ERRORS_IN_A_ROW,
        ids,
        least,
        greatest,
        _moved(at, -_LOOK_BACK - timedelta(microseconds=max(greatest, default=0))),
        _moved(at, timedelta(minutes=1) - timedelta(microseconds=min(least, default=0))),
    )
    places = await counted_places(connection, class_ids, rows)
    states = {row["student_id"]: row for row in places}
    items = [_state({**each, **states[each["student_id"]]}) for each in students]
    return Listing(items, total)


def _moved(time: datetime, by: timedelta) -> datetime:
    try:
        return time + by
    except OverflowError:  # at either end of the calendar
        return time


def _columns(rows: list[Any], *names: str) -> list[list[Any]]:
    return [[row[name] for row in rows] for name in names]


def _state(row: dict[str, Any]) -> StudentState:
    for name in ("executions", "errors"):
        row[name] -= row.pop(f"{name}_in_minute") + sum(unpack(row.pop(f"later_{name}")))
    for name in ("least_offset", "greatest_offset", "total"):
        del row[name]
    title, heading = taken_name(row)
    return StudentState(**row, cell_title=title, cell_heading=heading)


_SELECT_STUDENTS = f"""
    SELECT student_id, user_id, name, team, executions, errors, verified,
        number, kana, seat_row, seat_column,
        least_offset, greatest_offset, total
    FROM ({class_page(skip="$2", limit="$3")}) AS m ORDER BY user_id
"""  # noqa: S608 - constants


def _rows(table: str, time: str, columns: str, condition: str, since: str) -> str:
    """The rows of the student `s` claimed from `since` on and put right by `$2`, with that as `at`.

    `$10` and `$11` bound the claimed times of all students, to leave out partitions.
    """
    return f"""
        SELECT put_right(received_at, {time}, clock_offset) AS at, {columns} FROM {table}
        WHERE student_id = s.id AND class_id = ANY ($1::bigint[]) AND excluded IS NULL
            AND {condition} AND {time} BETWEEN {since} AND s.until
            AND {time} BETWEEN $10::timestamptz AND $11::timestamptz
            AND put_right(received_at, {time}, clock_offset) BETWEEN $2 - $5 AND $2
    """  # noqa: S608 - constants


def _latest(table: str, time: str, columns: str, condition: str) -> str:
    """The latest of these rows by the time put right.

    The table's key has the claimed times. No later row is claimed before the time put right of the
    one that is claimed last, less the greatest offset. Mostly both are the same row.
    """
    claimed_last = _rows(table, time, "1", condition, "s.since") + f"ORDER BY {time} DESC LIMIT 1"
    since = f"(SELECT at FROM ({claimed_last}) AS claimed_last) - s.greatest"  # noqa: S608 - constants
    return f"({_rows(table, time, columns, condition, since)} ORDER BY at DESC LIMIT 1)"


_LATEST = " UNION ALL ".join(
    (
        _latest("cell_executions", "executed_at", "alias_id, cell_id, cell_index", "true"),
        _latest("events", "event_time", "alias_id, cell_id, cell_index", "true"),
        # What names no notebook, such as `help`, hides no place.
        _latest("events", "event_time", "alias_id, cell_id, cell_index", "alias_id IS NOT NULL"),
        _latest("notebook_accesses", "accessed_at", "alias_id, cell_id, cell_index", "true"),
    )
)
_SUCCESS = _latest("cell_executions", "executed_at", "status", "status = 'success'")
_ERRORS = _rows(
    "cell_executions",
    "executed_at",
    "status",
    "status = 'error'",
    since="COALESCE(success.at - s.greatest, s.since)",
)
_LESSON = _rows(
    "cell_executions",
    "executed_at",
    "alias_id, cell_id, status",
    f"put_right(received_at, executed_at, clock_offset) > $2 - {LOOK_BACK}",
    since=f"$2 - {LOOK_BACK} - s.greatest",
)
# A call that was old when it arrived showed nothing.
_CALLS = _rows(
    "events",
    "event_time",
    "received_at",
    "event_type = 'help'",
    since="$2 - $3::interval - s.greatest",
)
_STARTS = _latest("events", "event_time", "alias_id, cell_id", STARTED)
_STILL_RUNNING = still_running(
    rows=_rows("{table}", "{time}", "*", "true", since="start.started_at - s.greatest")
)
_STOPS = _rows("events", "event_time", "event_type", "event_type = 'help_stop'", since="s.since")

_IS_SETTLED = is_settled(
    student="s.id",
    classes="$1",
    until="call.at",
    as_of="$2",
    least="s.least_offset",
    greatest="s.greatest_offset",
)

# Reads a few rows per student, by the tables' keys. Executions after `at` are subtracted from the
# total: those of later days, later hours of its day, later minutes of its hour (packed counts;
# `div(…, one)` drops the counts up to that hour or minute), and the rest of its minute.
_SELECT_STATES = f"""
    SELECT s.id AS student_id,
        CASE WHEN help.is_active THEN 'help'
            WHEN heard.at IS NULL
                OR heard.at < $2::timestamptz - {idle_interval("$4")} THEN 'idle'
            WHEN failures.in_a_row > 0 THEN 'error'
            ELSE 'active' END AS state,
        place.notebook_id, place.notebook_path, place.cell_id, place.cell_position, named.*,
        rest_of_minute.executions AS executions_in_minute,
        rest_of_minute.errors AS errors_in_minute,
        later.executions AS later_executions, later.errors AS later_errors,
        failures.in_a_row AS errors_in_a_row, failing.failing_since, failing.failing_cell_id,
        GREATEST(success.at, failures.until) AS last_run_at,
        run.running_since, run.running_cell_id,
        heard.at AS last_heard_at
    FROM (
        SELECT id, greatest * interval '1 microsecond' AS greatest,
            $2::timestamptz - $5::interval - greatest * interval '1 microsecond' AS since,
            $2 - least * interval '1 microsecond' AS until,
            date_trunc('minute', $2, 'UTC') + interval '1 minute' AS minute_end,
            least * interval '1 microsecond' AS least,
            least AS least_offset, greatest AS greatest_offset
        FROM unnest($7::bigint[], $8::bigint[], $9::bigint[]) AS each (id, least, greatest) OFFSET 0
    ) AS s
    CROSS JOIN LATERAL (
        SELECT max(at) AS at,
            (array_agg(alias_id ORDER BY at DESC) FILTER (WHERE alias_id IS NOT NULL))[1]
                AS alias_id,
            (array_agg(cell_id ORDER BY at DESC) FILTER (WHERE cell_id IS NOT NULL))[1] AS cell_id,
            (array_agg(cell_index ORDER BY at DESC) FILTER (WHERE cell_id IS NOT NULL))[1]
                AS cell_index
        FROM ({_LATEST}) AS e
    ) AS heard
    LEFT JOIN {
    place(
        alias="heard.alias_id",
        cell="heard.cell_id",
        index="heard.cell_index",
        class_id="($1)[1]",
    )
} AS place ON true
    LEFT JOIN {
    named(
        student="s.id",
        alias="heard.alias_id",
        cell="heard.cell_id",
        index="place.cell_position",
        classes="$1",
    )
} AS named ON true
    LEFT JOIN LATERAL {_SUCCESS} AS success ON true
    LEFT JOIN LATERAL (
        SELECT started_at AS running_since, cells.cell_id AS running_cell_id
        FROM (
            SELECT at AS started_at, alias_id AS started_alias, cell_id AS started_cell
            FROM {_STARTS} AS latest OFFSET 0
        ) AS start
        LEFT JOIN cells ON cells.id = started_cell
        WHERE {_STILL_RUNNING} OFFSET 0
    ) AS run ON true
    CROSS JOIN LATERAL (
        SELECT count(*)::integer AS in_a_row, max(at) AS until
        FROM (
            SELECT at FROM ({_ERRORS}) AS e
            WHERE success.at IS NULL OR e.at > success.at LIMIT $6
        ) AS e
    ) AS failures
    LEFT JOIN {failing(rows=_LESSON, condition="failures.in_a_row > 0")} AS failing ON true
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
            AND executed_at BETWEEN $10 AND $11
            AND put_right(received_at, executed_at, clock_offset) > $2
            AND put_right(received_at, executed_at, clock_offset) < s.minute_end
    ) AS rest_of_minute
    CROSS JOIN LATERAL (
        SELECT max(at) AS at FROM ({_CALLS}) AS e WHERE at > $2 - $3 AND at > received_at - $3
    ) AS call
    CROSS JOIN LATERAL (
        SELECT max(at) AS at FROM ({_STOPS}) AS e WHERE call.at IS NOT NULL
    ) AS stop
    CROSS JOIN LATERAL (
        SELECT call.at IS NOT NULL AND (stop.at IS NULL OR call.at > stop.at)
            AND NOT {_IS_SETTLED} AS is_active
    ) AS help
"""  # noqa: S608 - constants
