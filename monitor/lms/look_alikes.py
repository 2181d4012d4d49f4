"""Who a new line of a roster may mean: students who are known under a similar id."""

import asyncio
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import asyncpg

from monitor.auth.principal import Principal
from monitor.auth.visibility import visible_rows
from monitor.lms.enrolment import RosterEntry
from monitor.lms.enrolment_report import Likeness, LookAlike
from monitor.lms.enrolment_rows import Enrolment

_MAX_STUDENTS = 20_000  # the latest, that an administrator's lines are compared with
_MAX_EACH = 5  # look-alikes of a line
_HEARD_DAYS = 7
_NUMBER = re.compile(r"[a-z]{0,3}([0-9]{5,})")  # a student's number, as in s2026001
_LEADING_ZEROS = re.compile(r"(^|[^0-9])0+(?=[0-9])")


class Person(NamedTuple):
    """An id, and the e-mail address with it."""

    user_id: str
    email: str | None


async def find_look_alikes(
    connection: asyncpg.Connection,
    class_id: int,
    lines: Mapping[int, Person],
    roster: Mapping[int, RosterEntry],
    caller: Principal,
) -> dict[int, list[LookAlike]]:
    """The look-alikes of these lines among the students whom the caller can see, by line.

    They are those on the class's roster, an instructor's students, and who was heard with a key of
    theirs in the last week; for others the latest students of the server. Those of the roster come
    first.
    """
    if not lines:
        return {}
    query = _SELECT.format(visible=_visible(caller))
    people = list(lines.values())
    arguments = [list(lines), [one.user_id for one in people], [one.email for one in people]]
    await connection.execute("SET LOCAL enable_nestloop = off")  # whatever the statistics say
    rows = await connection.fetch(query, class_id, caller.name, *arguments)
    await connection.execute("SET LOCAL enable_nestloop = on")
    return await asyncio.to_thread(_shown, rows, lines, roster)


def _shown(
    rows: Iterable[asyncpg.Record], lines: Mapping[int, Person], roster: Mapping[int, RosterEntry]
) -> dict[int, list[LookAlike]]:
    found: dict[int, list[LookAlike]] = {}
    for row in rows:
        entry = roster.get(row["id"])
        known = Person(row["user_id"], entry.email if entry else row["email"])
        likenesses = sorted(likenesses_of(lines[row["line"]], known))
        if likenesses:
            found.setdefault(row["line"], []).append(
                LookAlike(
                    user_id=row["user_id"],
                    name=entry.name if entry else row["name"],
                    student_id=row["id"],
                    line=None,
                    on_roster=entry is not None,
                    likenesses=likenesses,
                )
            )
    for similar in found.values():
        similar.sort(key=lambda each: (not each.on_roster, each.user_id))
        del similar[_MAX_EACH:]
    return found


def alike_in_file(
    lines: Iterable[int], rows: Mapping[int, Enrolment], ids: Mapping[int, int | None]
) -> dict[int, list[LookAlike]]:
    """Which of these lines look like other rows of the same file, by line."""
    by_key: dict[str, list[int]] = {}
    for line, row in rows.items():
        for key in _keys_in_file(row):
            by_key.setdefault(key, []).append(line)
    found: dict[int, list[LookAlike]] = {}
    for line in lines:
        sharing = [by_key[key] for key in _keys_in_file(rows[line])]
        for other in sorted(
            {each for lines in sharing if len(lines) <= _MAX_EACH for each in lines}
        ):
            likenesses = sorted(likenesses_of(_person(rows[line]), _person(rows[other])))
            if likenesses:
                found.setdefault(line, []).append(
                    LookAlike(
                        user_id=rows[other].user_id or "",
                        name=rows[other].name,
                        student_id=ids[other],
                        line=other,
                        on_roster=False,
                        likenesses=likenesses,
                    )
                )
    return found


def likenesses_of(one: Person, other: Person) -> set[Likeness]:
    """In what two people look alike; nothing, if they have the same id."""
    if one.user_id == other.user_id:
        return set()
    found = set(_of_ids(one.user_id, other.user_id))
    if one.email and other.email and one.email.strip().lower() == other.email.strip().lower():
        found.add("email")
    if _is_in_address(one.user_id, other) or _is_in_address(other.user_id, one):
        found.add("id_in_email")
    return found


def _of_ids(one: str, other: str) -> Iterator[Likeness]:
    if _key(one) != _key(other):
        return
    narrow, other_narrow = (unicodedata.normalize("NFKC", each) for each in (one, other))
    if narrow == other_narrow or (one == narrow) != (other == other_narrow):
        yield "width"
    if _zeroless(narrow) != _zeroless(other_narrow):
        yield "case"
    if narrow.lower() != other_narrow.lower():
        yield "zeros"


def _key(text: str) -> str:
    """Equal for ids that look alike; `_SELECT` computes the same."""
    return _zeroless(unicodedata.normalize("NFKC", text).lower())


def _zeroless(text: str) -> str:
    return _LEADING_ZEROS.sub(r"\1", text)


def _is_in_address(user_id: str, person: Person) -> bool:
    """Whether an id, or its number, is what stands before the @ of somebody else's address."""
    key, parts = _key(user_id), _local_parts(person)
    return key in parts or bool(_numbers([key]) & _numbers(parts))


def _numbers(keys: Iterable[str]) -> set[str]:
    return {match[1] for key in keys if (match := _NUMBER.fullmatch(key))}


def _local_parts(person: Person) -> set[str]:
    """Of the addresses that a person has, if the id is one, too."""
    texts = (person.user_id, person.email or "")
    return {_key(text.partition("@")[0]) for text in texts if "@" in text}


def _keys_in_file(row: Enrolment) -> set[str]:
    person = _person(row)
    emails = {person.email.strip().lower()} if person.email else set()
    return {f"id {_key(person.user_id)}", *(f"email {email}" for email in emails)}


def _person(row: Enrolment) -> Person:
    return Person(row.user_id or "", row.email)


def _visible(caller: Principal) -> str:
    if caller.role == "admin":
        return _LATEST
    return f"({visible_rows('students', caller, '$2')} OR {_ON_ROSTER} OR {_HEARD})"


_LATEST = f"""
    students.id IN (
        SELECT id FROM (SELECT id FROM students ORDER BY id DESC LIMIT {_MAX_STUDENTS}) AS latest
        UNION ALL SELECT student_id FROM student_classes WHERE class_id = $1
    ) AND $2::text IS NOT NULL
"""  # noqa: S608 - constants

_ON_ROSTER = "students.id IN (SELECT student_id FROM student_classes WHERE class_id = $1)"

_HEARD = f"""
    students.id IN (
        SELECT student_id FROM heard_in_no_class($2, now() - make_interval(days => {_HEARD_DAYS}))
    )
"""  # noqa: S608 - constants

# As `_key` in Python.
_KEY = r"""
    regexp_replace(lower(normalize({0}, NFKC)), '(^|[^0-9])0+(?=[0-9])', '\1', 'g')
"""


def _keyed(source: str) -> str:
    """The rows of a source with `user_id` and `email`, with the keys of id, address and locals."""
    local = "CASE WHEN {0} LIKE '%@%' THEN " + _KEY.format("split_part({0}, '@', 1)") + " END"
    return f"""
        SELECT *, {_KEY.format("user_id")} AS id_key, lower(btrim(email)) AS email_key,
            {local.format("user_id")} AS id_local, {local.format("email")} AS email_local
        FROM {source}
    """  # noqa: S608 - constants


def _number(key: str) -> str:
    """The number of five digits or more in a key, as `_NUMBER` in Python finds it."""
    return f"substring({key} from '^[a-z]?[a-z]?[a-z]?([0-9][0-9][0-9][0-9][0-9]+)$')"


# An id meets ids and the local parts of addresses, an address equal ones. Two local parts, which
# may be of different domains, don't meet. What many share says nothing.
_SELECT = f"""
    WITH known AS MATERIALIZED (
        SELECT students.id, students.user_id, COALESCE(line.name, students.name) AS name,
            COALESCE(line.email, students.email) AS email
        FROM students
        LEFT JOIN student_classes AS line ON line.student_id = students.id AND line.class_id = $1
        WHERE students.merged_into IS NULL AND {{visible}}
    ), keyed AS MATERIALIZED (
        {_keyed("known")}
    ), known_keys AS MATERIALIZED (
        SELECT id, unnest(ARRAY[
            'id ' || id_key, 'local ' || id_local, 'local ' || email_local, 'email ' || email_key,
            'number ' || {_number("id_key")}, 'local number ' || {_number("id_local")},
            'local number ' || {_number("email_local")}
        ]) AS key FROM keyed
    ), telling_keys AS MATERIALIZED (
        SELECT id, key FROM (
            SELECT id, key, count(*) OVER (PARTITION BY key) FROM known_keys WHERE key IS NOT NULL
        ) AS k
        WHERE count <= {_MAX_EACH}
    ), lines AS MATERIALIZED (
        {_keyed("unnest($3::integer[], $4::text[], $5::text[]) AS line (line, user_id, email)")}
    ), line_keys AS MATERIALIZED (
        SELECT line, user_id, unnest(ARRAY[
            'id ' || id_key, 'local ' || id_key, 'id ' || id_local, 'id ' || email_local,
            'email ' || email_key, 'local number ' || {_number("id_key")},
            'number ' || {_number("id_local")}, 'number ' || {_number("email_local")}
        ]) AS key FROM lines
    ), pairs AS MATERIALIZED (
        SELECT DISTINCT l.line, l.user_id, k.id
        FROM line_keys AS l JOIN telling_keys AS k USING (key)
    )
    SELECT pairs.line, known.id, known.user_id, known.name, known.email
    FROM pairs JOIN known ON known.id = pairs.id WHERE known.user_id <> pairs.user_id
"""  # noqa: S608 - constants
