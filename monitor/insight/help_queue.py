"""The help queue of a class: open help requests, since when, and who has taken them."""

from datetime import datetime, timedelta

import msgspec

from monitor.database.members import CLASS_MEMBERS
from monitor.database.paging import Listing, Page
from monitor.database.pool import Connection
from monitor.insight.class_state import HELP_TIMEOUT
from monitor.insight.copies import Row, counted_places
from monitor.insight.places import place
from monitor.insight.query import ClassIds, class_students

_LOOK_BACK = timedelta(hours=12)  # to find when a request began


class LastError(msgspec.Struct):
    """A student's last failed execution. `error` and `code` are cut at 10,000 characters."""

    at: datetime
    error: str | None
    code: str | None


class HelpRequest(msgspec.Struct, kw_only=True):
    """An open help request, made at `asked_at` and last confirmed at `repeated_at`.

    Notebook and cell are where the student was last; `cell_position` is the cell's index, from 0.
    `taken_by` is null while nobody has taken the request.
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


async def help_queue(
    connection: Connection, class_ids: ClassIds, page: Page
) -> Listing[HelpRequest]:
    """Requests that nobody has taken first, then the oldest first. Raises NotFound."""
    rows = await connection.fetch(
        _SELECT_OPEN, class_ids, HELP_TIMEOUT, _LOOK_BACK, page.skip, page.limit
    )
    if rows:
        places = await counted_places(connection, class_ids, rows)
        return Listing([_request(place) for place in places], rows[0]["total"])
    await class_students(connection, class_ids)
    total = await connection.fetchval(_COUNT_OPEN, class_ids, HELP_TIMEOUT)
    return Listing([], total)


def _request(fields: Row) -> HelpRequest:
    del fields["total"], fields["notebook_id"]
    at, error, code = (fields.pop(name) for name in ("error_at", "error", "error_code"))
    return HelpRequest(**fields, last_error=None if at is None else LastError(at, error, code))


# Calls of a class that are open, with what is known of their being taken.
_OPEN = f"""
    FROM ({CLASS_MEMBERS}) AS m
    LEFT JOIN LATERAL (
        SELECT taken_by, taken_at, resolved_at FROM help_requests
        WHERE student_id = m.student_id AND class_id = m.call_class
            AND after_stop = m.after_stop OFFSET 0
    ) AS h ON true
    WHERE m.role = 'student' AND m.is_calling AND m.help_at > now() - $2::interval
        AND h.resolved_at IS NULL
"""  # noqa: S608 - constants

_COUNT_OPEN = f"SELECT count(*) {_OPEN}"

_SELECT_OPEN = f"""
    SELECT m.total, m.student_id, m.user_id, m.name, m.team,
        COALESCE(request.asked_at, m.help_at) AS asked_at, m.help_at AS repeated_at,
        place.notebook_id, place.notebook_path, place.cell_id, place.cell_position,
        failure.at AS error_at, failure.error, failure.code AS error_code,
        m.taken_by, m.taken_at
    FROM (SELECT m.*, h.*, count(*) OVER () AS total {_OPEN} OFFSET 0) AS m
    CROSS JOIN LATERAL (
        SELECT min(at) AS asked_at FROM (
            SELECT put_right(e.received_at, e.event_time, e.clock_offset) AS at FROM events AS e
            WHERE e.student_id = m.student_id AND e.class_id = ANY ($1)
                AND e.event_type = 'help' AND e.excluded IS NULL
                AND e.event_time
                    > GREATEST(m.help_stop_at, m.help_at - $3::interval)
                        - m.greatest_offset * interval '1 microsecond'
                AND e.event_time <= m.help_at - m.least_offset * interval '1 microsecond'
            OFFSET 0
        ) AS calls
        WHERE at > GREATEST(m.help_stop_at, m.help_at - $3) AND at <= m.help_at
    ) AS request
    LEFT JOIN LATERAL (
        SELECT * FROM (
            SELECT put_right(e.received_at, e.executed_at, e.clock_offset) AS at, status,
                left(error, 10000) AS error, left(code, 10000) AS code
            FROM cell_executions AS e
            WHERE e.student_id = m.student_id AND e.class_id = ANY ($1) AND e.excluded IS NULL
                AND e.executed_at
                    > m.help_at - $3::interval - m.greatest_offset * interval '1 microsecond'
            ORDER BY executed_at DESC LIMIT 100
        ) AS recent WHERE status = 'error' ORDER BY at DESC LIMIT 1
    ) AS failure ON true
    LEFT JOIN {
    place(alias="m.alias_id", cell="m.cell_id", index="m.cell_index", class_id="m.class_id")
} AS place ON true
    ORDER BY m.taken_at IS NOT NULL, asked_at, m.student_id OFFSET $4 LIMIT $5
"""  # noqa: S608 - constants
