"""All classes of a teacher at a glance."""

from datetime import datetime, timedelta

import msgspec

from monitor.database.members import members
from monitor.database.paging import Listing, Page
from monitor.database.pool import Connection
from monitor.insight.class_state import HELP_TIMEOUT, STATE, IdleAfter
from monitor.insight.failing import FAILING
from monitor.insight.running import RUNNING


class OverviewQuery(Page, frozen=True, kw_only=True):
    """A page of classes; `idle_after` as in the state of a class."""

    idle_after: IdleAfter = 300


class ClassOverview(msgspec.Struct):
    """A class now.

    `students` is their number, `active` how many of them are not idle, `stuck` how many have failed
    for as often, or for as long at one cell, as the class's `stuck_errors` and `stuck_minutes` say,
    `calls` how many ask for help. `last_heard_at` is the receipt of the latest event of any of
    them.
    """

    class_id: int
    name: str
    students: int
    active: int
    stuck: int
    calls: int
    last_heard_at: datetime | None


async def overview(
    connection: Connection, class_ids: list[int] | None, query: OverviewQuery, *, is_open: bool
) -> Listing[ClassOverview]:
    """Those of these classes that have not ended (None: of all), by name.

    On an open server (`is_open`) with what their students did in no class.
    """
    total = await connection.fetchval(_COUNT, class_ids)
    classes = await connection.fetch(_SELECT_CLASSES, class_ids, query.skip, query.limit)
    ids = [row["class_id"] for row in classes]
    idle_after = timedelta(seconds=query.idle_after)
    rows = await connection.fetch(_SELECT_COUNTS, ids, HELP_TIMEOUT, idle_after, is_open)
    counts = {row["class_id"]: row for row in rows}
    items = [
        ClassOverview(**{**_EMPTY, **each, **counts.get(each["class_id"], {})}) for each in classes
    ]
    return Listing(items, total)


_EMPTY = {"students": 0, "active": 0, "stuck": 0, "calls": 0, "last_heard_at": None}

_SELECT_CLASSES = """
    SELECT id AS class_id, name FROM classes
    WHERE is_active AND ($1::bigint[] IS NULL OR id = ANY ($1))
    ORDER BY name, id OFFSET $2 LIMIT $3
"""

_COUNT = """
    SELECT count(*) FROM classes WHERE is_active AND ($1::bigint[] IS NULL OR id = ANY ($1))
"""

_SELECT_COUNTS = f"""
    SELECT class_id, count(*) AS students, count(*) FILTER (WHERE state <> 'idle') AS active,
        count(*) FILTER (WHERE state = 'error' AND (
            errors_in_a_row >= stuck_errors
            OR failing_since <= now() - stuck_minutes * interval '1 minute'
        )) AS stuck,
        count(*) FILTER (WHERE state = 'help') AS calls,
        max(last_received_at) AS last_heard_at
    FROM (
        SELECT m.class_id, m.last_received_at, m.errors_in_a_row, failing.failing_since,
            c.stuck_errors, c.stuck_minutes, {STATE} AS state
        FROM ({members(is_open="$4::boolean")}) AS m
        CROSS JOIN LATERAL (SELECT * FROM classes WHERE id = m.class_id OFFSET 0) AS c
        LEFT JOIN {RUNNING} AS run ON true
        LEFT JOIN {FAILING} AS failing ON true
        WHERE m.role = 'student' AND m.class_id = ANY ($1::bigint[])
    ) AS students
    GROUP BY class_id
"""  # noqa: S608 - constants
