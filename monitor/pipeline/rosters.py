"""Looks up what the class of a batch's events depends on, and lets new students in by their key."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import asyncpg

from monitor.events.event import Event
from monitor.pipeline.class_choice import (
    Member,
    Rosters,
    is_class_key,
    names_another,
    needs_handed_out,
)


class Situation(NamedTuple):
    """The students of a batch as PostgreSQL knows them at `now`, its time.

    `verified` are students and classes in which a student's own credential lives; `judged` are
    students with an event in first_receipts.
    """

    now: datetime
    rosters: Rosters
    verified: set[tuple[int, int]]
    judged: set[int]


async def look_up(
    connection: asyncpg.Connection, events: list[Event], students: list[int]
) -> Situation:
    """The situation of the events' students, given by id."""
    codes = {each for event in events for each in (event.class_code, event.source.class_code)}
    codes.discard(None)
    rows = await connection.fetch(_SELECT_SITUATION, list(set(students)), list(codes))
    members: defaultdict[int, dict[int, Member]] = defaultdict(dict)
    situation = Situation(rows[0]["now"], Rosters(members), set(), set())
    for row in rows:
        match row["kind"]:
            case "member":
                member = Member(row["text"], row["is_active"], row["name"], row["team"])
                members[row["student_id"]][row["class_id"]] = member
            case "verified":
                situation.verified.add((row["student_id"], row["class_id"]))
            case "judged":
                situation.judged.add(row["student_id"])
            case "code":
                situation.rosters.codes[row["text"]] = row["class_id"]
    await _look_up_handed_out(connection, events, students, situation.rosters)
    return situation


async def _look_up_handed_out(
    connection: asyncpg.Connection, events: list[Event], students: list[int], rosters: Rosters
) -> None:
    wanted = {
        (student, event.notebook)
        for event, student in zip(events, students, strict=True)
        if needs_handed_out(event, student, rosters)
    }
    if wanted:
        rows = await connection.fetch(_SELECT_HANDED_OUT, *zip(*sorted(wanted), strict=True))
        rosters.handed_out = {(row["student_id"], row["path"]): row["classes"] for row in rows}


async def join(
    connection: asyncpg.Connection, events: list[Event], students: list[int], rosters: Rosters
) -> dict[tuple[int, int], str]:
    """Asks the classes of keys to take students who are not on their rosters.

    Adds those who are taken to `rosters`. Returns what became of the others, by student and class:
    `removed`, `not_on_roster` or `too_many_waiting`; their events are counted for the class's page.
    """
    new: defaultdict[tuple[int, str], set[int]] = defaultdict(set)
    for event, student in zip(events, students, strict=True):
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
        await _note_refusals(connection, zip(events, students, strict=True), outcomes)
    return outcomes


async def _note_refusals(
    connection: asyncpg.Connection,
    events: Iterable[tuple[Event, int]],
    outcomes: dict[tuple[int, int], str],
) -> None:
    refused: defaultdict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    for event, student in events:
        class_id = event.source.class_id or 0
        if is_class_key(event.source) and (outcome := outcomes.get((student, class_id))):
            refused[class_id, outcome][event.student] += 1
    for (class_id, reason), counts in sorted(refused.items()):
        await connection.execute(
            _NOTE_REFUSALS, class_id, reason, list(counts), list(counts.values())
        )


# OFFSET 0 keeps each branch a look-up by its table's key, whatever the statistics say.
_SELECT_SITUATION = """
    SELECT 'now' AS kind, 0::bigint AS student_id, 0::bigint AS class_id, NULL AS text,
        NULL::boolean AS is_active, NULL AS name, NULL AS team, clock_timestamp() AS now
    UNION ALL
    SELECT 'member', m.student_id, m.class_id, m.role, c.is_active,
        COALESCE(shown(m.name), shown(s.name)), COALESCE(shown(m.team), shown(s.team)), NULL
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
    SELECT 'judged', id, NULL, NULL, NULL, NULL, NULL, NULL FROM unnest($1::bigint[]) AS id
    WHERE EXISTS (SELECT FROM first_receipts WHERE student_id = id)
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

_NOTE_REFUSALS = "SELECT note_refusals($1, $2, $3::text[], $4::bigint[])"
