"""The help queue of a class: open help requests, since when, and who has taken them."""

from datetime import datetime, timedelta

import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.calls import ANSWER, IS_SETTLED, MEMBER_CALLS
from monitor.database.members import CLASS_MEMBERS
from monitor.database.paging import Listing, Page
from monitor.database.pool import Connection
from monitor.events.event import in_utc
from monitor.insight.cell_names import named, taken_name
from monitor.insight.class_state import HELP_TIMEOUT
from monitor.insight.copies import Row, counted_places
from monitor.insight.places import place
from monitor.insight.query import ClassIds, class_students

_LOOK_BACK = timedelta(hours=12)  # to find the last error


class HelpQuery(Page, frozen=True, kw_only=True):
    """A page of the queue. `since`: from when on a student's calls are counted, within 12 hours."""

    since: datetime | UnsetType = UNSET


class LastError(msgspec.Struct):
    """A student's last failed execution. `error` and `code` are cut at 10,000 characters.

    `solved_at` is when the same cell has run without an error since; null if it hasn't, or
    the cell has no id.
    """

    at: datetime
    error: str | None
    code: str | None
    solved_at: datetime | None


class HelpRequest(msgspec.Struct, kw_only=True):
    """An open call for help that began at `asked_at` and was last confirmed at `repeated_at`.

    Notebook and cell are where the student was last, as in the class's state.
    `last_error` is the last of the past 12 hours. `calls` is how often the student has called
    since the time asked for, this call included. `taken_by` is null while nobody has taken it.
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
    cell_title: str | None
    cell_heading: str | None
    last_error: LastError | None
    calls: int
    taken_by: str | None
    taken_at: datetime | None


async def help_queue(
    connection: Connection, class_ids: ClassIds, query: HelpQuery
) -> Listing[HelpRequest]:
    """Requests that nobody has taken first, then the oldest first. Raises NotFound."""
    since = None if query.since is UNSET else in_utc(query.since)
    rows = await connection.fetch(
        _SELECT_OPEN, class_ids, HELP_TIMEOUT, _LOOK_BACK, query.skip, query.limit, since
    )
    if rows:
        places = await counted_places(connection, class_ids, rows)
        return Listing([_request(place) for place in places], rows[0]["total"])
    await class_students(connection, class_ids)
    total = await connection.fetchval(_COUNT_OPEN, class_ids, HELP_TIMEOUT)
    return Listing([], total)


def _request(fields: Row) -> HelpRequest:
    del fields["total"], fields["notebook_id"]
    names = ("error_at", "error", "error_code", "solved_at")
    at, error, code, solved_at = (fields.pop(name) for name in names)
    last_error = None if at is None else LastError(at, error, code, solved_at)
    title, heading = taken_name(fields)
    return HelpRequest(**fields, cell_title=title, cell_heading=heading, last_error=last_error)


# Calls of a class that are open.
_OPEN = f"""
    FROM ({CLASS_MEMBERS}) AS m
    WHERE m.role = 'student' AND m.is_calling AND m.help_at > now() - $2::interval
        AND NOT {IS_SETTLED}
"""

_COUNT_OPEN = f"SELECT count(*) {_OPEN}"

_SELECT_OPEN = f"""
    SELECT m.total, m.student_id, m.user_id, m.name, m.team,
        COALESCE(request.asked_at, m.help_at) AS asked_at, m.help_at AS repeated_at,
        place.notebook_id, place.notebook_path, place.cell_id, place.cell_position, named.*,
        failure.at AS error_at, left(failure.error, 10000) AS error,
        left(failure.code, 10000) AS error_code, failure.solved_at,
        COALESCE(request.calls, 1) AS calls,
        answer.taken_by, answer.taken_at
    FROM (SELECT m.*, count(*) OVER () AS total {_OPEN} OFFSET 0) AS m
    LEFT JOIN LATERAL (
        SELECT max(began_at) AS asked_at, count(*) FILTER (
            WHERE $6::timestamptz IS NULL OR began_at >= $6
        ) AS calls
        FROM {MEMBER_CALLS}
    ) AS request ON true
    LEFT JOIN LATERAL (
        {ANSWER}
    ) AS answer ON answer.returned_at IS NULL
    LEFT JOIN LATERAL (
        SELECT *, CASE WHEN cell_id IS NOT NULL THEN
            min(at) FILTER (WHERE status = 'success') OVER (
                PARTITION BY alias_id, cell_id ORDER BY at
                ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
            ) END AS solved_at
        FROM (
            SELECT put_right(e.received_at, e.executed_at, e.clock_offset) AS at, status,
                alias_id, cell_id, error, code
            FROM cell_executions AS e
            WHERE e.student_id = m.student_id AND e.class_id = ANY ($1) AND e.excluded IS NULL
                AND e.status <> 'rendered'
                AND e.executed_at
                    > m.help_at - $3::interval - m.greatest_offset * interval '1 microsecond'
            ORDER BY executed_at DESC LIMIT 100
        ) AS recent ORDER BY status = 'error' DESC, at DESC LIMIT 1
    ) AS failure ON failure.status = 'error'
    LEFT JOIN {
    place(alias="m.alias_id", cell="m.cell_id", index="m.cell_index", class_id="m.class_id")
} AS place ON true
    LEFT JOIN {
    named(
        student="m.student_id",
        alias="m.alias_id",
        cell="m.cell_id",
        index="place.cell_position",
        classes="$1",
    )
} AS named ON true
    ORDER BY answer.taken_at IS NOT NULL, asked_at, m.student_id OFFSET $4 LIMIT $5
"""  # noqa: S608 - constants
