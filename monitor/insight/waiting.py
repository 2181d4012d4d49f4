"""How many students of a class waited for help, in each interval of a time."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from monitor.database.calls import LONGEST, LOOK_BACK
from monitor.database.pool import Connection
from monitor.insight.packed_counts import unpack
from monitor.insight.query import ClassIds

_HOUR = 3_600  # seconds
_LONGEST = timedelta(days=1)  # of which events are read
_NEVER = datetime.max.replace(tzinfo=UTC)


class Intervals(NamedTuple):
    """`number` intervals of this width from `since` on, in steps of 60 s or an hour.

    `first` is the start of the first row of counts: an hour of minutes, or a day of hours.
    """

    since: datetime
    width: timedelta
    number: int
    step: int
    first: datetime

    @property
    def end(self) -> datetime:
        """Of the last one."""
        return self.since + self.number * self.width


async def students_waiting(
    connection: Connection, class_ids: ClassIds, students: list[int], asked: Intervals
) -> list[int]:
    """Of each interval the number of students with an open call in it.

    A student calls while the button is on, whose signal is counted by the minute. The signal goes
    on after a teacher has settled the call; from the minute after, it counts only for another call.
    Intervals of an hour or more, and of a longer time than a day, take it as the button was on.
    """
    called = await _called(connection, class_ids, students, asked)
    settled = await _settled(connection, class_ids, list(called), asked) if called else {}
    step = timedelta(seconds=asked.step)
    waiting: list[set[int]] = [set() for _ in range(asked.number)]
    for student, starts in called.items():
        over = settled.get(student, ())
        for start in starts:
            if not any(since <= start and start + step <= until for since, until in over):
                waiting[(start - asked.since) // asked.width].add(student)
    return [len(each) for each in waiting]


async def _called(
    connection: Connection, class_ids: ClassIds, students: list[int], asked: Intervals
) -> dict[int, list[datetime]]:
    """The starts of the minutes, or hours, in which each student's button was on."""
    rows = await connection.fetch(
        _SELECT_CALLED, students, class_ids, asked.step, asked.first, asked.end
    )
    called = defaultdict(list)
    for row in rows:
        for index, count in enumerate(unpack(row["helps"])):
            start = row["start"] + timedelta(seconds=index * asked.step)
            if count and asked.since <= start < asked.end:
                called[row["student_id"]].append(start)
    return called


async def _settled(
    connection: Connection, class_ids: ClassIds, students: list[int], asked: Intervals
) -> dict[int, list[tuple[datetime, datetime]]]:
    """From when to when each of these students had a call that was settled, and no other."""
    if asked.step >= _HOUR or asked.end - asked.since > _LONGEST:
        return {}
    rows = await connection.fetch(_SELECT_ANSWERED, students, class_ids, asked.since, asked.end)
    spans = {}
    for row in rows:
        begun = [*row["begun"], _NEVER]
        spans[row["student_id"]] = [
            (resolved, until)
            for since, until in pairwise(begun)
            for heard, resolved in zip(row["heard"], row["resolved"], strict=True)
            if since <= heard < until
        ]
    return spans


_SELECT_CALLED = """
    SELECT student_id, start, sum(helps)::text AS helps FROM student_activity
    WHERE student_id = ANY ($1::bigint[]) AND class_id = ANY ($2::bigint[])
        AND step = $3 AND start >= $4 AND start < $5 AND helps > 0
    GROUP BY student_id, start
"""

# Only of students whose calls a teacher has settled: theirs are looked for in their events.
_SELECT_ANSWERED = f"""
    SELECT h.student_id, h.heard, h.resolved, c.begun
    FROM (
        SELECT student_id, array_agg(heard_at) AS heard, array_agg(resolved_at) AS resolved
        FROM help_requests
        WHERE student_id = ANY ($1::bigint[]) AND class_id = ANY ($2::bigint[])
            AND resolved_at IS NOT NULL
            AND heard_at > $3::timestamptz - {LONGEST} AND heard_at <= $4::timestamptz
        GROUP BY student_id
    ) AS h
    CROSS JOIN LATERAL (
        SELECT LEAST(min(least_offset), 0) AS least, GREATEST(max(greatest_offset), 0) AS greatest
        FROM student_states WHERE student_id = h.student_id AND class_id = ANY ($2)
    ) AS clock
    CROSS JOIN LATERAL (
        SELECT array_agg(began_at ORDER BY began_at) AS begun
        FROM calls_for_help(
            h.student_id, $2, $3 - {LOOK_BACK}, $4, 'infinity', clock.least, clock.greatest
        )
    ) AS c
    WHERE c.begun IS NOT NULL
"""  # noqa: S608 - constants
