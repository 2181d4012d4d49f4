"""A class over time: executions, errors and help requests in each interval."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.pool import Connection
from monitor.errors import Detail, InvalidBody
from monitor.events.event import in_utc
from monitor.insight.packed_counts import unpack
from monitor.insight.query import ClassIds, Query, class_students
from monitor.insight.waiting import Intervals, students_waiting

MAX_INTERVALS = 500
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400  # seconds
_EPOCH = datetime.fromtimestamp(0, UTC)
_UNEVEN_INTERVAL = "`interval` must be whole minutes, or from an hour on whole hours"
_NO_INTERVALS = "The intervals from `since` to `until` must be in the years 1 to 9999"
_INTERVAL_COUNT = f"From `since` to `until` there may be 1 to {MAX_INTERVALS} intervals"


class ActivityQuery(Query, frozen=True, kw_only=True):
    """`interval` in seconds; the first starts at `since`, rounded down to the minute or hour.

    Without `until` up to now, without `since` the last 60 intervals. A time without a zone is UTC.
    """

    interval: Annotated[int, msgspec.Meta(ge=60, le=7 * 86_400, multiple_of=60)] = 300
    since: datetime | UnsetType = UNSET
    until: datetime | UnsetType = UNSET


class ActivityInterval(msgspec.Struct):
    """A class in one interval.

    `helps` counts all `help` events: the button repeats every 10 s. `waiting` is how many students
    had an open call in it; in intervals of an hour or more, and from `since` to `until` more than
    a day, how many had the button on.
    """

    start: datetime
    executions: int = 0
    errors: int = 0
    helps: int = 0
    waiting: int = 0


async def class_activity(
    connection: Connection, class_ids: ClassIds, query: ActivityQuery
) -> list[ActivityInterval]:
    """All intervals in order, also those without activity. Raises NotFound, InvalidBody."""
    step = _MINUTE if query.interval < _HOUR else _HOUR
    since, count, until = _range(query, step)
    students = await class_students(connection, class_ids)
    width = timedelta(seconds=query.interval)
    intervals = [ActivityInterval(since + number * width) for number in range(count)]
    row_span = timedelta(seconds=_HOUR if step == _MINUTE else _DAY)  # of a row's packed counts
    first = since - (since - _EPOCH) % row_span
    rows = await connection.fetch(_SELECT_ACTIVITY, list(students), class_ids, step, first, until)
    for row in rows:
        for name in ("executions", "errors", "helps"):
            for index, count_at in enumerate(unpack(row[name])):
                at = row["start"] + timedelta(seconds=index * step)
                if count_at and since <= at < until:
                    interval = intervals[(at - since) // width]
                    setattr(interval, name, getattr(interval, name) + count_at)
    asked = Intervals(since, width, count, step, first)
    waiting = await students_waiting(connection, class_ids, list(students), asked)
    for interval, number in zip(intervals, waiting, strict=True):
        interval.waiting = number
    return intervals


def _range(query: ActivityQuery, step: int) -> tuple[datetime, int, datetime]:
    """The start of the first interval, a multiple of `step` (s), how many there are, and their end.

    Raises InvalidBody.
    """
    if query.interval % step:
        raise InvalidBody(Detail(("query", "interval"), _UNEVEN_INTERVAL, "value_error"))
    width, whole = timedelta(seconds=query.interval), timedelta(seconds=step)
    try:
        until = datetime.now(UTC) if query.until is UNSET else in_utc(query.until)
        if query.since is UNSET:
            since = until - 60 * width
            since += (_EPOCH - since) % whole
        else:
            since = in_utc(query.since)
            since -= (since - _EPOCH) % whole
        count = -((since - until) // width)
        end = since + count * width
    except OverflowError:
        raise InvalidBody(Detail(("query", "until"), _NO_INTERVALS, "value_error")) from None
    if not 1 <= count <= MAX_INTERVALS:
        raise InvalidBody(Detail(("query", "since"), _INTERVAL_COUNT, "value_error"))
    return since, count, end


_SELECT_ACTIVITY = """
    SELECT start, sum(executions)::text AS executions, sum(errors)::text AS errors,
        sum(helps)::text AS helps
    FROM student_activity
    WHERE student_id = ANY ($1::bigint[]) AND class_id = ANY ($2::bigint[])
        AND step = $3 AND start >= $4 AND start < $5
    GROUP BY start
"""
