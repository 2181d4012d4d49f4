"""A class over time: executions, errors and calls for help in each interval."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.reads import Reads
from monitor.errors import Detail, InvalidBody
from monitor.events.event import in_utc
from monitor.insight.counts import counts
from monitor.insight.question import Question
from monitor.insight.roster import members

MAX_INTERVALS = 500
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_EPOCH = datetime.fromtimestamp(0, UTC)
_NARROW = "`interval` must be whole minutes, or from an hour on whole hours"
_MANY = f"From `since` to `until` there may be 1 to {MAX_INTERVALS} intervals"


class ActivityQuery(Question, frozen=True, kw_only=True):
    """`interval` in seconds; the first starts at `since`, rounded down to the minute or hour.

    Without `until` up to now, without `since` the last 60 intervals. A time without a zone is UTC.
    """

    interval: Annotated[int, msgspec.Meta(ge=60, le=7 * 86_400, multiple_of=60)] = 300
    since: datetime | UnsetType = UNSET
    until: datetime | UnsetType = UNSET


class Activity(msgspec.Struct):
    """What a class did in an interval. `helps` counts the button's repetitions, every 10 s, too."""

    start: datetime
    executions: int = 0
    errors: int = 0
    helps: int = 0


async def class_activity(reads: Reads, class_id: int, query: ActivityQuery) -> list[Activity]:
    """All intervals in order, also those without activity. Raises NotFound, InvalidBody."""
    step = _MINUTE if query.interval < _HOUR else _HOUR
    since, count = _range(query, step)
    await reads.counted()
    students = await members(reads, class_id)
    width = timedelta(seconds=query.interval)
    until = since + count * width
    found = [Activity(since + number * width) for number in range(count)]
    span = _HOUR if step == _MINUTE else _DAY
    first = since - (since - _EPOCH) % timedelta(seconds=span)
    for row in await reads.fetch(_SELECT_ACTIVITY, list(students), step, first, until):
        for name in ("executions", "errors", "helps"):
            for place, number in enumerate(counts(row[name])):
                at = row["start"] + timedelta(seconds=place * step)
                if number and since <= at < until:
                    interval = found[(at - since) // width]
                    setattr(interval, name, getattr(interval, name) + number)
    return found


def _range(query: ActivityQuery, step: int) -> tuple[datetime, int]:
    if query.interval % step:
        raise InvalidBody(Detail(("query", "interval"), _NARROW, "value_error"))
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
    except OverflowError:
        count = 0
    if not 1 <= count <= MAX_INTERVALS:
        raise InvalidBody(Detail(("query", "since"), _MANY, "value_error"))
    return since, count


_SELECT_ACTIVITY = """
    SELECT start, sum(executions)::text AS executions, sum(errors)::text AS errors,
        sum(helps)::text AS helps
    FROM student_activity
    WHERE student_id = ANY ($1::bigint[]) AND step = $2 AND start >= $3 AND start < $4
    GROUP BY start
"""
