"""The error radar: which errors of the last minutes a class is still at, widespread ones first."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Annotated, Any

import asyncpg
import msgspec

from monitor.database.pool import Connection
from monitor.insight.cell_names import cell_name, named
from monitor.insight.failure_places import FailurePlace, failure_places
from monitor.insight.kept import Kept
from monitor.insight.query import ClassIds, Query
from monitor.insight.recent_runs import MAX_MINUTES, Failure
from monitor.insight.versions import People, class_people

_TREND_STEPS = 10
_MAX_GROUPS = 20


class RadarQuery(Query, frozen=True, kw_only=True):
    """`minutes`: how far to look back."""

    minutes: Annotated[int, msgspec.Meta(ge=1, le=MAX_MINUTES)] = 10


class ErrorGroup(msgspec.Struct, kw_only=True):
    """Errors of one kind in one cell, their variable parts as `…`.

    `students` met it, and `still` of them have not got past the cell since: no success there is
    later than their error. Both are user_ids. `count` and `trend` are of all its errors: `trend`
    has their number in each tenth of the time, the oldest first. `example` is the text of the
    latest error of those who are still at it, `code` the code that raised it (up to 2,000
    characters each), `example_of` the user_id. `place`, `cell_id` (null at an index) and
    `cell_position` are as in the notebook's cells; `cell_title` is the first line of that code,
    `cell_heading` the nearest heading that `example_of` rendered above it.
    """

    notebook_id: int | None
    notebook_path: str | None
    cell_id: str | None
    cell_position: int | None
    cell_title: str | None
    cell_heading: str | None
    place: str | None
    error: str
    count: int
    students: list[str]
    still: list[str]
    trend: list[int]
    last_at: datetime
    example_of: str
    example: str | None
    code: str | None


class Radar(msgspec.Struct):
    """Groups that somebody is still at, those of most students first.

    `more` is how many further groups there are, `students` how many students the class has.
    """

    students: int
    minutes: int
    groups: list[ErrorGroup]
    more: int


async def error_radar(
    connection: Connection, class_ids: ClassIds, query: RadarQuery, kept: Kept | None = None
) -> Radar:
    """Up to 20 groups. Without `kept` all rows are read. Raises NotFound."""
    people = await class_people(connection, class_ids)
    since = people.now - timedelta(minutes=query.minutes)
    kept = kept or Kept()
    async with kept.runs(connection, class_ids, people) as (runs, pace):
        failures, solved = runs.since(since), runs.solved()
    places = await failure_places(connection, class_ids, people, failures, solved, kept)
    groups: dict[tuple[Any, ...], _Group] = defaultdict(_Group)
    for failure, place, is_open in places:
        groups[*place.key, failure.kind].add(failure, place, is_open=is_open)
        if pace.is_due:
            await pace.rest()
    open_ = [group for group in groups.values() if group.still]
    open_.sort(key=_Group.rank)
    shown = open_[:_MAX_GROUPS]
    examples = await _examples(connection, class_ids, shown)
    return Radar(
        len(people.students),
        query.minutes,
        [
            _error_group(group, example, people, since, query.minutes)
            for group, example in zip(shown, examples, strict=True)
        ],
        len(open_) - len(shown),
    )


class _Group:
    """Failures of one kind at one place. `example` is the latest, if one is open, of those."""

    place: FailurePlace
    example: Failure

    def __init__(self) -> None:
        self.failures: list[Failure] = []
        self.students: set[int] = set()
        self.still: set[int] = set()
        self.position: int | None = None
        self._best: tuple[bool, datetime, int] | None = None

    def add(self, failure: Failure, place: FailurePlace, *, is_open: bool) -> None:
        self.place = place
        self.failures.append(failure)
        self.students.add(failure.student_id)
        if is_open:
            self.still.add(failure.student_id)
        if place.position is not None:
            self.position = max(place.position, self.position or 0)
        best = is_open, failure.at, -failure.event_id.int
        if self._best is None or best > self._best:
            self._best, self.example = best, failure

    def rank(self) -> tuple[int, int, int, str, str]:
        """Of those with as many students the most frequent, then by the texts."""
        counts = -len(self.still), -len(self.students), -len(self.failures)
        return *counts, self.example.kind, repr(self.place.key)


def _error_group(
    group: _Group, example: asyncpg.Record, people: People, since: datetime, minutes: int
) -> ErrorGroup:
    def user_ids(ids: set[int]) -> list[str]:
        return sorted(map(people.students.__getitem__, ids))

    title, heading = cell_name(example["code"], None, example["named_text"])
    step = timedelta(minutes=minutes) / _TREND_STEPS
    steps = Counter(
        max(0, min(_TREND_STEPS - 1, (each.at - since) // step)) for each in group.failures
    )
    place = group.place
    return ErrorGroup(
        notebook_id=place.notebook_id,
        notebook_path=place.notebook_path,
        cell_id=example["cell_id"],
        cell_position=group.position,
        cell_title=title,
        cell_heading=heading,
        place=place.text(example["cell_id"]),
        error=group.example.kind,
        count=len(group.failures),
        students=user_ids(group.students),
        still=user_ids(group.still),
        trend=[steps[number] for number in range(_TREND_STEPS)],
        last_at=max(each.at for each in group.failures),
        example_of=people.students[group.example.student_id],
        example=example["example"],
        code=example["code"],
    )


async def _examples(connection: Connection, class_ids: ClassIds, groups: list[_Group]) -> list[Any]:
    """Of each group what its example says, and the id of its cell."""
    if not groups:
        return []
    examples = [group.example for group in groups]
    rows: list[asyncpg.Record] = await connection.fetch(
        _SELECT_EXAMPLES,
        class_ids,
        [each.student_id for each in examples],
        [each.executed_at for each in examples],
        [each.event_id for each in examples],
        [group.place.named for group in groups],
    )
    return rows


# OFFSET 0 keeps each part a look-up by a key, whatever the statistics say.
_SELECT_EXAMPLES = f"""
    SELECT e.example, e.code, called.named_text, n.name AS cell_id
    FROM unnest($2::bigint[], $3::timestamptz[], $4::uuid[], $5::bigint[])
        WITH ORDINALITY AS g (student_id, executed_at, event_id, named, number)
    LEFT JOIN LATERAL (
        SELECT left(e.error, 2000) AS example, left(e.code, 2000) AS code, e.alias_id, e.cell_id,
            e.cell_index
        FROM cell_executions AS e
        WHERE e.student_id = g.student_id AND e.executed_at = g.executed_at
            AND e.event_id = g.event_id OFFSET 0
    ) AS e ON true
    LEFT JOIN LATERAL (SELECT cell_id AS name FROM cells WHERE id = g.named OFFSET 0) AS n ON true
    CROSS JOIN {
    named(
        student="g.student_id",
        alias="e.alias_id",
        cell="e.cell_id",
        index="e.cell_index",
        classes="$1",
    )
} AS called
    ORDER BY g.number
"""  # noqa: S608 - constants
