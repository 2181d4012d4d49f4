"""A class's runs of the last hour, by student: the failed ones, and the last success in each cell.

That is all that the error radar needs: who failed where, and whether they have got past it since.
Of a student who runs more than 2,000 in that time only the newest count.
"""

import sys
import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from monitor.database.pool import Connection
from monitor.insight.query import ClassIds
from monitor.insight.versions import People, Version
from monitor.pace import Pace

MAX_MINUTES = 60
_KEPT = f"interval '{MAX_MINUTES + 1} minutes'"
_READ_AT_ONCE = 5  # students
MAX_RUNS = 2_000  # of a student, the newest: who runs more costs the class no more

# The time put right and, for runs that were put right to the same receipt, the claimed one.
Moment = tuple[datetime, datetime]
Successes = dict[tuple[int | None, int | None], Moment]  # the last one, by alias and cell
Solved = dict[int, Successes]  # by student


class Failure(msgspec.Struct, gc=False, eq=False):
    """A failed run. `kind` is that of its error."""

    student_id: int
    at: datetime
    executed_at: datetime
    event_id: uuid.UUID
    alias_id: int | None
    cell_id: int | None
    kind: str


class StudentRuns(NamedTuple):
    """A student's failures and successes; both are replaced, not changed."""

    version: Version
    failures: list[Failure]
    solved: Successes


class RecentRuns:
    """The runs of each student, read anew when the student's version is another."""

    def __init__(self, class_ids: ClassIds) -> None:
        self.students: dict[int, StudentRuns] = {}
        self._class_ids = class_ids
        self._months = ""

    @property
    def size(self) -> int:
        """How much there is to keep: failures, successes, and students."""
        runs = self.students.values()
        return 1 + sum(1 + len(each.failures) + len(each.solved) for each in runs)

    async def update(self, connection: Connection, people: People, pace: Pace) -> None:
        """Makes it what it is in the connection's snapshot, which has these people.

        Raises Busy when that takes too long.
        """
        if people.months != self._months:
            self.students.clear()
            self._months = people.months
        for gone in self.students.keys() - people.students.keys():
            del self.students[gone]
        stale = [each for each in people.students if self._is_stale(each, people.versions[each])]
        for start in range(0, len(stale), _READ_AT_ONCE):
            await self._read(connection, stale[start : start + _READ_AT_ONCE], people)
            if pace.is_due:
                await pace.rest()

    def since(self, time: datetime) -> list[Failure]:
        """All failures after this time, at most an hour ago."""
        runs = self.students.values()
        return [failure for each in runs for failure in each.failures if failure.at > time]

    def solved(self) -> Solved:
        """The last successes of each student."""
        return {student: each.solved for student, each in self.students.items()}

    def _is_stale(self, student: int, version: Version) -> bool:
        kept = self.students.get(student)
        return kept is None or version.states is None or kept.version != version

    async def _read(self, connection: Connection, students: Sequence[int], people: People) -> None:
        failures: dict[int, list[Failure]] = defaultdict(list)
        kinds: dict[str, str] = {}
        solved: Solved = defaultdict(dict)
        for row in await connection.fetch(_SELECT, self._class_ids, students):
            student, at, executed_at, event_id, alias_id, cell_id, excerpt, kind = row
            if event_id is None:
                solved[student][alias_id, cell_id] = (at, executed_at)
                continue
            if kind is not None:
                kinds[excerpt] = sys.intern(kind)
            failures[student].append(
                Failure(student, at, executed_at, event_id, alias_id, cell_id, excerpt)
            )
        for student in students:
            for failure in failures[student]:
                failure.kind = kinds[failure.kind]
            self.students[student] = StudentRuns(
                people.versions[student], failures[student], solved[student]
            )


# By the times put right. OFFSET 0 keeps each part a look-up by a key, however wrong the estimates
# are. Of the texts of errors that are alike the first one is normalised.
_SELECT = f"""
    WITH recent AS MATERIALIZED (
        SELECT s.id AS student_id, e.*,
            CASE WHEN failed THEN row_number() OVER (PARTITION BY failed, excerpt) END AS nth_alike
        FROM unnest($2::bigint[]) AS s (id)
        CROSS JOIN LATERAL (
            SELECT GREATEST(max(greatest_offset), 0) * interval '1 microsecond' AS greatest
            FROM student_states WHERE student_id = s.id AND class_id = ANY ($1::bigint[])
        ) AS clock
        CROSS JOIN LATERAL (
            SELECT put_right(received_at, executed_at, clock_offset) AS at, executed_at, event_id,
                alias_id, cell_id, status = 'error' AS failed,
                CASE WHEN status = 'error' THEN COALESCE(error_excerpt(error), '') END AS excerpt
            FROM (
                SELECT received_at, executed_at, clock_offset, event_id, alias_id, cell_id, status,
                    error
                FROM cell_executions
                WHERE student_id = s.id AND class_id = ANY ($1)
                    AND status IN ('error', 'success') AND excluded IS NULL
                    AND executed_at > now() - {_KEPT} - clock.greatest
                ORDER BY executed_at DESC LIMIT {MAX_RUNS}
            ) AS newest
            OFFSET 0
        ) AS e
        WHERE e.at > now() - {_KEPT}
    )
    SELECT student_id, at, executed_at, event_id, alias_id, cell_id, excerpt,
        CASE WHEN nth_alike = 1 THEN normalised_error(excerpt) END AS kind
    FROM recent WHERE failed
    UNION ALL
    SELECT student_id, latest[1], latest[2], NULL, alias_id, cell_id, NULL, NULL
    FROM (
        SELECT student_id, alias_id, cell_id, max(ARRAY[at, executed_at]) AS latest
        FROM recent WHERE NOT failed GROUP BY student_id, alias_id, cell_id
    ) AS solved
"""  # noqa: S608 - constants
