"""Finds where events belong: rosters in memory, and new students let in by their class's key."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

import asyncpg

from monitor.events.event import Event, Source
from monitor.pipeline.class_choice import (
    Member,
    Place,
    Rosters,
    depends_on_notebook,
    is_class_key,
    names_another,
    place_of,
)

_MAX_AGE = 60.0  # seconds in memory: students' own credentials end without a change of rosters
_MAX_PLACES = 200_000
_NOT_TAKEN = frozenset({"not_on_roster", "too_many_waiting"})

Placed = list[tuple[Event, int]]  # events with their students' ids


class RosterCache:
    """The rosters of the students who sent events lately, kept until PostgreSQL's change.

    Each batch asks whether they have changed: one small query in place of a large one.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Drops all, so that the next batch looks everything up."""
        # New objects, not emptied ones: a batch that is being placed keeps its own.
        self._version: tuple[int, int] | None = None
        self._loaded_at = 0.0
        self._rosters = Rosters({})
        self._judged: dict[int, bool] = {}
        self._places: dict[tuple[int, int], tuple[Place, Source]] = {}

    async def refresh(self, connection: asyncpg.Connection) -> datetime:
        """Drops what is out of date. Returns PostgreSQL's time."""
        changes, total, now = await connection.fetchrow(_SELECT_VERSION)
        loop_time = asyncio.get_running_loop().time()
        is_old = loop_time - self._loaded_at > _MAX_AGE or len(self._places) > _MAX_PLACES
        if is_old or self._version != (changes, total):
            self.forget()
            self._version, self._loaded_at = (changes, total), loop_time
        return now  # type: ignore[no-any-return]

    async def judged(self, connection: asyncpg.Connection, students: list[int]) -> set[int]:
        """Those of the students who have an event in first_receipts, for at least a minute."""
        known = self._judged
        if missing := set(students) - known.keys():
            rows = await connection.fetch(_SELECT_JUDGED, list(missing))
            known.update(dict.fromkeys(missing, False))
            known.update((row["student_id"], True) for row in rows)
            return {student for student in students if known[student]}
        return {student for student in set(students) if known[student]}

    async def place(
        self, connection: asyncpg.Connection, events: list[Event], students: list[int]
    ) -> tuple[list[Place | None], dict[int, str]]:
        """The place of each event; by position, why their class does not take the others."""
        known = self._places
        places: list[Place | None] = []
        unknown: list[int] = []
        for position, (event, student) in enumerate(zip(events, students, strict=True)):
            found = known.get((student, id(event.source))) if event.class_code is None else None
            if found is None:
                unknown.append(position)
                places.append(None)
            else:
                places.append(found[0])
        refused: dict[int, str] = {}
        if unknown:
            refused = await self._place(connection, events, students, unknown, places)
        return places, refused

    async def _place(
        self,
        connection: asyncpg.Connection,
        events: list[Event],
        students: list[int],
        unknown: list[int],
        places: list[Place | None],
    ) -> dict[int, str]:
        known, rosters = self._places, self._rosters
        placed = [(events[position], students[position]) for position in unknown]
        await _load(connection, placed, rosters)
        outcomes = await _join(connection, placed, rosters)
        refused: dict[int, str] = {}
        for position, (event, student) in zip(unknown, placed, strict=True):
            source = event.source
            outcome = outcomes.get((student, source.class_id or 0)) if outcomes else None
            if outcome in _NOT_TAKEN and is_class_key(source):
                refused[position] = outcome
                continue
            place = places[position] = place_of(event, student, rosters)
            if outcome is None and _is_lasting(event, student, rosters):
                known[student, id(source)] = place, source
        return refused


def _is_lasting(event: Event, student: int, rosters: Rosters) -> bool:
    """Whether all events of the student from the same source belong to the same place.

    A source that is made for one request only would never be found again.
    """
    source = event.source
    if event.class_code or source.class_code or source.sent_offset is not None:
        return False
    return is_class_key(source) or not depends_on_notebook(student, rosters)


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
                    member = Member(row["text"], row["is_active"], row["name"], row["team"])
                    members[row["student_id"]][row["class_id"]] = member
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


async def _join(
    connection: asyncpg.Connection, placed: Placed, rosters: Rosters
) -> dict[tuple[int, int], str]:
    """Asks the classes of keys to take students who are not on their rosters.

    Adds those who are taken to `rosters`. Returns what became of the others, by student and class:
    `removed`, `not_on_roster` or `too_many_waiting`; their events are counted for the class's page.
    """
    new: defaultdict[tuple[int, str], set[int]] = defaultdict(set)
    for event, student in placed:
        source = event.source
        if (
            is_class_key(source)
            and source.class_id not in rosters.members.get(student, ())
            and not names_another(event, rosters)
        ):
            new[source.class_id or 0, source.credential or ""].add(student)
    outcomes: dict[tuple[int, int], str] = {}
    for (class_id, credential), joining in sorted(new.items()):
        for row in await connection.fetch(_JOIN, class_id, sorted(joining), credential):
            student, outcome = row["student_id"], row["outcome"]
            if outcome in ("student", "waiting"):
                rosters.members.setdefault(student, {})[class_id] = Member(outcome, True)
            else:
                outcomes[student, class_id] = outcome
    if outcomes:
        await _note_refusals(connection, placed, outcomes)
    return outcomes


async def _note_refusals(
    connection: asyncpg.Connection,
    placed: Iterable[tuple[Event, int]],
    outcomes: dict[tuple[int, int], str],
) -> None:
    refused: defaultdict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    for event, student in placed:
        class_id = event.source.class_id or 0
        if is_class_key(event.source) and (outcome := outcomes.get((student, class_id))):
            refused[class_id, outcome][event.student] += 1
    for (class_id, reason), counts in sorted(refused.items()):
        users: Sequence[str] = list(counts)
        await connection.execute(_NOTE_REFUSALS, class_id, reason, users, list(counts.values()))


_SELECT_VERSION = """
    SELECT count(*), COALESCE(sum(id), 0)::bigint, clock_timestamp() FROM roster_changes
"""

_SELECT_JUDGED = """
    SELECT student_id FROM unnest($1::bigint[]) AS student_id
    WHERE EXISTS (SELECT FROM first_receipts AS f WHERE f.student_id = student_id.student_id)
"""

# OFFSET 0 keeps each branch a look-up by its table's key, whatever the statistics say.
_SELECT_ROSTERS = """
    SELECT 'member' AS kind, m.student_id, m.class_id, m.role AS text, c.is_active,
        COALESCE(shown(m.name), shown(s.name)) AS name,
        COALESCE(shown(m.team), shown(s.team)) AS team
    FROM unnest($1::bigint[]) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT * FROM student_classes WHERE student_id = wanted.id OFFSET 0
    ) AS m
    JOIN classes AS c ON c.id = m.class_id
    JOIN students AS s ON s.id = m.student_id
    UNION ALL
    SELECT 'verified', state.student_id, state.class_id, NULL, NULL, NULL, NULL
    FROM unnest($1::bigint[]) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT student_id, class_id FROM verified_students WHERE student_id = wanted.id OFFSET 0
    ) AS state
    UNION ALL
    SELECT 'code', NULL, id, class_code, NULL, NULL, NULL FROM classes
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

_NOTE_REFUSALS = "SELECT note_refusals($1, $2, $3::text[], $4::bigint[])"
