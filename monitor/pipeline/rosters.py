"""Finds where events belong: rosters in memory, and new students let in by their class's key."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import asyncpg

from monitor.database import refusals
from monitor.events.event import Event
from monitor.pipeline.class_choice import (
    Member,
    Place,
    Rosters,
    depends_on_notebook,
    is_class_key,
    names_another,
    place_of,
)

# Of roster_changes.
VERSION = """
    (SELECT count(*) FROM roster_changes) AS changes,
    (SELECT COALESCE(sum(id), 0)::bigint FROM roster_changes) AS sum_of_changes
"""
_MAX_AGE = 60.0  # seconds in memory: students' own credentials end without a change of rosters
_NOT_TAKEN = frozenset({"not_on_roster", "too_many_waiting"})

Placed = list[tuple[Event, int]]  # events with their students' ids
Version = tuple[int, int]  # of the rosters, as VERSION selects it


class Refusal(NamedTuple):
    """How many events a class kept out of which students, by user_id, and why."""

    class_id: int
    reason: str
    counts: Counter[str]


class RosterCache:
    """The rosters of the students who sent events lately, of one version.

    The transaction that stores a batch sees whether they have changed meanwhile.
    """

    def __init__(self) -> None:
        self._now = datetime.min.replace(tzinfo=UTC)
        self._loaded_at = 0.0
        self.merged = 0  # how many ids have been merged into others
        self.forget()

    def forget(self) -> None:
        """Drops all, so that the next batch looks everything up."""
        # New objects, not emptied ones: a batch that is being placed keeps its own.
        self.version: Version | None = None
        self._rosters = Rosters({})
        self._judged: dict[int, bool] = {}

    @property
    def is_outdated(self) -> bool:
        age = asyncio.get_running_loop().time() - self._loaded_at
        return self.version is None or age > _MAX_AGE

    async def load(self, connection: asyncpg.Connection) -> Rosters:
        """Starts again, with the present version; what is read from now on goes into the result."""
        self.forget()
        rosters = self._rosters
        changes, total, now, self.merged = await connection.fetchrow(_SELECT_VERSION)
        self.version = changes, total
        self._loaded_at = asyncio.get_running_loop().time()
        self._now = now
        return rosters

    @property
    def now(self) -> datetime:
        """PostgreSQL's time."""
        age = asyncio.get_running_loop().time() - self._loaded_at
        return self._now + timedelta(seconds=age)

    async def judged(self, connection: asyncpg.Connection, students: list[int]) -> set[int]:
        """Those of the students who had an event in first_receipts when they were looked up."""
        known = self._judged
        if missing := set(students) - known.keys():
            rows = await connection.fetch(_SELECT_JUDGED, list(missing))
            known.update(dict.fromkeys(missing, False))
            known.update((row["student_id"], True) for row in rows)
        return {student for student in set(students) if known[student]}

    async def place(
        self, connection: asyncpg.Connection, placed: Placed
    ) -> tuple[dict[int, Place], dict[int, str], list[Refusal]]:
        """By position, the place of each event, or why its class does not take it.

        Last, what the pages of classes are to say of those who were not let in.
        """
        rosters, outcomes = await self._join(connection, placed)
        places: dict[int, Place] = {}
        refused: dict[int, str] = {}
        for position, (event, student) in enumerate(placed):
            source = event.source
            outcome = outcomes.get((student, source.class_id or 0)) if outcomes else None
            if outcome in _NOT_TAKEN and is_class_key(source):
                refused[position] = outcome
            else:
                places[position] = place_of(event, student, rosters)
        return places, refused, _refusals(placed, outcomes)

    async def _join(
        self, connection: asyncpg.Connection, placed: Placed
    ) -> tuple[Rosters, dict[tuple[int, int], str]]:
        """Asks the classes of keys to take students who are not on their rosters.

        Returns the rosters, which another batch may have dropped meanwhile, and what became of
        those who were not taken, by student and class: `removed`, `staff`, `not_on_roster` or
        `too_many_waiting`.
        """
        rosters = self._rosters
        await _load(connection, placed, rosters)
        new = _newcomers(placed, rosters)
        if not new:
            return rosters, {}
        outcomes: dict[tuple[int, int], str] = {}
        for (class_id, credential), students in sorted(new.items()):
            for row in await connection.fetch(_JOIN, class_id, sorted(students), credential):
                if row["outcome"] not in ("student", "waiting"):
                    outcomes[row["student_id"], class_id] = row["outcome"]
        if len(outcomes) < sum(map(len, new.values())):  # the rosters have changed
            rosters = await self.load(connection)
            await _load(connection, placed, rosters)
        return rosters, outcomes

    def is_lasting(self, event: Event, place: Place) -> bool:
        """Whether all of the student's events from the same source belong to the same place.

        A source that is made for one request only would never be seen again.
        """
        source = event.source
        if event.class_code or source.class_code or source.sent_offset is not None:
            return False
        if is_class_key(source):
            return place.line is not None
        return not depends_on_notebook(place.student, self._rosters)


def _newcomers(placed: Placed, rosters: Rosters) -> dict[tuple[int, str], set[int]]:
    """The students who may join a class by its key, by class and credential."""
    new: defaultdict[tuple[int, str], set[int]] = defaultdict(set)
    for event, student in placed:
        source = event.source
        if (
            is_class_key(source)
            and source.class_id not in rosters.members.get(student, ())
            and not names_another(event, rosters)
        ):
            new[source.class_id or 0, source.credential or ""].add(student)
    return new


async def _load(connection: asyncpg.Connection, placed: Placed, rosters: Rosters) -> None:
    """Adds to `rosters` what they lack for these events."""
    codes = {each for event, _ in placed for each in (event.class_code, event.source.class_code)}
    missing_codes = {code for code in codes if code} - rosters.codes.keys()
    students = {student for _, student in placed} - rosters.members.keys()
    if students or missing_codes:
        rows = await connection.fetch(_SELECT_ROSTERS, list(students), list(missing_codes))
        members: dict[int, dict[int, Member]] = {student: {} for student in students}
        rosters.codes.update(dict.fromkeys(missing_codes))
        for row in rows:
            match row["kind"]:
                case "member":
                    members[row["student_id"]][row["class_id"]] = Member(
                        role=row["text"],
                        is_active=row["is_active"],
                        name=row["name"],
                        team=row["team"],
                        record_team=row["record_team"],
                    )
                case "verified":
                    rosters.verified.add((row["student_id"], row["class_id"]))
                case "code":
                    rosters.codes[row["text"]] = row["class_id"]
        rosters.members.update(members)
    await _load_handed_out(connection, placed, rosters)


async def _load_handed_out(
    connection: asyncpg.Connection, placed: Placed, rosters: Rosters
) -> None:
    wanted = {
        (student, event.notebook)
        for event, student in placed
        if event.notebook
        and not is_class_key(event.source)
        and depends_on_notebook(student, rosters)
    } - rosters.handed_out.keys()
    if wanted:
        rosters.handed_out.update((each, []) for each in wanted)
        rows = await connection.fetch(_SELECT_HANDED_OUT, *zip(*sorted(wanted), strict=True))
        for row in rows:
            rosters.handed_out[row["student_id"], row["path"]] = row["classes"]


async def note_refusals(connection: asyncpg.Connection, found: list[Refusal]) -> None:
    """Counts them for the pages of their classes; once, in the batch's transaction."""
    for refusal in found:
        await refusals.note(connection, refusal.reason, {refusal.class_id: refusal.counts})


def over_limit(named: Iterable[tuple[Event, int | None, int | None]]) -> list[Refusal]:
    """What pages of classes are to say of names beyond a student's limit.

    `named` are events with the ids of their notebooks and cells.
    """
    unnamed: defaultdict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    for event, alias, cell in named:
        if event.notebook and alias is None:
            unnamed[event.class_id, "too_many_notebooks"][event.student] += 1
        elif event.cell and alias and cell is None:
            unnamed[event.class_id, "too_many_cells"][event.student] += 1
    return [Refusal(*key, counts) for key, counts in sorted(unnamed.items())]


def _refusals(
    placed: Iterable[tuple[Event, int]], outcomes: dict[tuple[int, int], str]
) -> list[Refusal]:
    if not outcomes:
        return []
    refused: defaultdict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    for event, student in placed:
        class_id = event.source.class_id or 0
        if is_class_key(event.source) and (outcome := outcomes.get((student, class_id))):
            refused[class_id, outcome][event.student] += 1
    return [Refusal(*key, counts) for key, counts in sorted(refused.items())]


_SELECT_VERSION = f"""
    SELECT {VERSION}, clock_timestamp(),
        (SELECT count(*) FROM students WHERE merged_into IS NOT NULL)
"""  # noqa: S608 - constants

_SELECT_JUDGED = """
    SELECT student_id FROM unnest($1::bigint[]) AS student_id
    WHERE EXISTS (SELECT FROM first_receipts AS f WHERE f.student_id = student_id.student_id)
"""

# Names as in database/members.py, without the claimed ones, which each batch returns. OFFSET 0
# keeps each branch a look-up by its table's key, whatever the statistics say.
_SELECT_ROSTERS = """
    SELECT 'member' AS kind, m.student_id, m.class_id, m.role AS text, c.is_active,
        COALESCE(shown(m.name), shown(s.name)) AS name,
        shown(m.team) AS team, shown(s.team) AS record_team
    FROM unnest($1::bigint[]) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT * FROM student_classes WHERE student_id = wanted.id OFFSET 0
    ) AS m
    JOIN classes AS c ON c.id = m.class_id
    JOIN students AS s ON s.id = m.student_id
    UNION ALL
    SELECT 'verified', state.student_id, state.class_id, NULL, NULL, NULL, NULL, NULL
    FROM unnest($1::bigint[]) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT student_id, class_id FROM verified_students WHERE student_id = wanted.id OFFSET 0
    ) AS state
    UNION ALL
    SELECT 'code', NULL, id, class_code, NULL, NULL, NULL, NULL FROM classes
    WHERE class_code = ANY ($2::text[])
"""

_SELECT_HANDED_OUT = """
    SELECT student_id, wanted.path, array_agg(DISTINCT m.class_id) AS classes
    FROM unnest($1::bigint[], $2::text[]) AS wanted (student_id, path)
    JOIN student_classes AS m USING (student_id)
    JOIN class_assignments AS a ON a.class_id = m.class_id
    JOIN notebooks AS n ON n.id = a.notebook_id
    WHERE m.role = 'student' AND (
        n.path = path_in_order(wanted.path) OR EXISTS (
            SELECT FROM notebook_aliases AS alias
            WHERE alias.class_id = m.class_id AND alias.path = wanted.path
                AND alias.notebook_id = n.id
        )
    )
    GROUP BY student_id, wanted.path
"""

_JOIN = "SELECT student_id, outcome FROM join_class($1, $2::bigint[], $3)"
