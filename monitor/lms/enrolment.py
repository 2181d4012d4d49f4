"""Enrolment: the students, assistants and teachers of a class."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.members import members
from monitor.database.paging import Listing, Page
from monitor.database.resource import Unknown, values
from monitor.errors import NotFound
from monitor.events.event import Indexed
from monitor.lms.classes import CLASSES
from monitor.lms.enrolment_rows import (
    ClassRole,
    Enrolment,
    EnrolmentRows,
    LineNumber,
    RosterRole,
    SeatName,
    key_of,
)
from monitor.lms.rooms import Place, hold
from monitor.lms.seating import place_of, take_seat, take_seats
from monitor.lms.students import ensure


class RosterLineUpdate(msgspec.Struct):
    """Changes of a line of a roster: fields that are left out stay, null clears them."""

    name: Indexed | UnsetType | None = UNSET
    email: Indexed | UnsetType | None = UNSET
    team: Indexed | UnsetType | None = UNSET
    role: ClassRole | UnsetType = UNSET
    number: LineNumber | UnsetType | None = UNSET
    kana: Indexed | UnsetType | None = UNSET
    seat: SeatName | UnsetType | None = UNSET


class RosterEntry(msgspec.Struct):
    """A person on a class's roster.

    Name, email and team are as the class sees them: the roster's, else the record's or those that
    the person's events in the class claim. `number` is that on the class's list, `kana` how the
    name is read, `seat` the letters of the row and the number of the column (`A3`). Who is
    `waiting` has posted with the class's key and is not let in yet: the class sees nothing else of
    theirs.
    """

    class_id: int
    student_id: int
    user_id: str
    name: str | None
    email: str | None
    team: str | None
    role: RosterRole
    joined_at: datetime
    number: int | None
    kana: str | None
    seat: str | None


async def list_roster(
    connection: asyncpg.Connection, class_id: int, page: Page, *, is_open: bool
) -> Listing[RosterEntry]:
    """In the order of user_id. `is_open`: names claimed in no class show, too. Raises NotFound."""
    await CLASSES.get(connection, class_id)
    total = await connection.fetchval(_COUNT, class_id)
    rows = await connection.fetch(_SELECT_PAGE, class_id, is_open, page.skip, page.limit)
    return Listing([_shown(row) for row in rows], total)


def _shown(row: asyncpg.Record) -> RosterEntry:
    fields = dict(row)
    place = fields.pop("seat_row"), fields.pop("seat_column")
    return RosterEntry(**fields, seat=str(Place(*place)) if place[0] else None)


async def current_ids(
    connection: asyncpg.Connection, enrolments: Iterable[Enrolment]
) -> dict[str | int, int]:
    """The ids of the students who exist, of merged ones those that stay, by user_id and by id.

    Raises Unknown for an unknown student_id.
    """
    ids = {each.student_id for each in enrolments if each.student_id is not None}
    user_ids = {each.user_id for each in enrolments if each.user_id is not None}
    rows = await connection.fetch(_SELECT_CURRENT_IDS, list(ids), list(user_ids))
    by_id = {row["id"]: row["current"] for row in rows}
    for student_id in sorted(ids - by_id.keys()):
        raise Unknown("student_id", student_id)
    return by_id | {row["user_id"]: row["current"] for row in rows}


async def ensure_students(
    connection: asyncpg.Connection, class_id: int, enrolments: EnrolmentRows
) -> dict[int, int]:
    """The students' ids by row, of a merged one the id that stays; creates unknown user_ids.

    Commit before `enrol`, because the pipeline creates students in another order. Raises NotFound,
    Unknown for an unknown student_id, and InvalidBody if two rows are of one student.
    """
    await CLASSES.get(connection, class_id)
    rows = enrolments.rows
    await ensure(connection, [each.user_id for each in rows.values() if each.user_id is not None])
    ids = await current_ids(connection, rows.values())
    by_row = {line: ids[key_of(each)] for line, each in rows.items()}
    enrolments.check(by_row)
    return by_row


async def user_ids_of(connection: asyncpg.Connection, ids: Iterable[int]) -> dict[int, str]:
    """The user_ids of these students, by id."""
    return dict(await connection.fetch(_SELECT_USER_IDS, list(ids)))


async def enrol(
    connection: asyncpg.Connection, class_id: int, enrolments: EnrolmentRows, ids: Mapping[int, int]
) -> None:
    """Enrols students, whose ids are given by row: all or, if one does not exist, nobody.

    It opens nothing that they did elsewhere, so nobody's consent is needed. The room of the class
    grows to have their seats. Raises NotFound, and InvalidBody if a seat is somebody else's.
    """
    if not enrolments.rows:
        return
    by_id = sorted((ids[line], line) for line in enrolments.rows)
    try:
        await take_seats(connection, class_id, enrolments, ids)
        roles = dict(await connection.fetch(_LOCK_ROLES, class_id, [each for each, _ in by_id]))
        lines = [_line(each, enrolments.rows[line], roles) for each, line in by_id]
        columns = list(zip(*lines, strict=True))
        await connection.execute(_ENROL, class_id, *columns)
    except asyncpg.ForeignKeyViolationError:
        raise NotFound(f"The class {class_id} or one of the students does not exist") from None
    await connection.execute(_FORGET_REMOVALS, class_id, list(ids.values()))


def _line(
    student_id: int, row: Enrolment, roles: Mapping[int, str]
) -> tuple[int | str | None, ...]:
    """Who is enrolled without a role keeps the one of `roles`, or is a student."""
    place = place_of(row.seat) or (None, None)
    role = row.role or roles.get(student_id, "student")
    return student_id, role, row.name, row.email, row.team, row.number, row.kana, *place


async def all_entries(
    connection: asyncpg.Connection, class_id: int, *, is_open: bool
) -> list[RosterEntry]:
    """The whole roster, in the order of user_id."""
    rows = await connection.fetch(_SELECT_ROSTER + " ORDER BY user_id", class_id, is_open)
    return [_shown(row) for row in rows]


async def entries(
    connection: asyncpg.Connection, class_id: int, student_ids: Iterable[int], *, is_open: bool
) -> list[RosterEntry]:
    """Those of these students who are on the roster, in the order of user_id."""
    rows = await connection.fetch(_SELECT, class_id, is_open, list(student_ids))
    return [_shown(row) for row in rows]


async def appoint(connection: asyncpg.Connection, class_id: int, user_id: str) -> None:
    """Enrols somebody as the teacher of a class; creates them if unknown."""
    (student_id,) = (await ensure(connection, [user_id])).values()
    rows = EnrolmentRows({0: Enrolment(user_id=user_id, role="teacher")})
    await enrol(connection, class_id, rows, {0: student_id})


async def update(
    connection: asyncpg.Connection,
    class_id: int,
    student_id: int,
    body: RosterLineUpdate,
    *,
    is_open: bool,
) -> RosterEntry:
    """Changes a line of the roster.

    Raises NotFound, and Invalid if the seat is none, or somebody else's.
    """
    changes = values(body)
    if "seat" in changes:
        await hold(connection, class_id)
        seat = changes.pop("seat")
        place = await take_seat(connection, class_id, student_id, seat) if seat else (None, None)
        changes["seat_row"], changes["seat_column"] = place
    if changes:
        columns = [f"{name} = ${number}" for number, name in enumerate(changes, 3)]
        if "role" in changes:
            await connection.execute(_LET_IN, class_id, student_id)
        query = _UPDATE.format(changes=", ".join(columns))
        await connection.execute(query, class_id, student_id, *changes.values())
    return await _entry(connection, class_id, student_id, is_open=is_open)


async def remove(
    connection: asyncpg.Connection, class_id: int, student_id: int, by: str, *, is_open: bool
) -> RosterEntry:
    """Returns the removed entry. `by` is who removes it, remembered with the removal.

    A class's key brings nobody back who was removed; enrolling does. Raises NotFound.
    """
    entry = await _entry(connection, class_id, student_id, is_open=is_open)
    await connection.execute(_DELETE, class_id, student_id, by)
    return entry


async def _entry(
    connection: asyncpg.Connection, class_id: int, student_id: int, *, is_open: bool
) -> RosterEntry:
    for entry in await entries(connection, class_id, [student_id], is_open=is_open):
        return entry
    raise NotFound(f"The student {student_id} is not in the class {class_id}")


_SELECT_CURRENT_IDS = """
    SELECT id, user_id, COALESCE(merged_into, id) AS current FROM students
    WHERE id = ANY ($1::bigint[]) OR user_id = ANY ($2::text[])
"""

_SELECT_USER_IDS = "SELECT id, user_id FROM students WHERE id = ANY ($1::bigint[])"

# In the order of ids, as class keys write rosters, to avoid deadlocks.
_LOCK_ROLES = """
    SELECT student_id, role FROM student_classes
    WHERE class_id = $1 AND student_id = ANY ($2::bigint[]) AND role <> 'waiting'
    ORDER BY student_id FOR UPDATE
"""

# In the same order. It reads no table: Citus 14 can't insert what it has selected where a column's
# default is a clock.
_ENROL = """
    INSERT INTO student_classes AS line (
        class_id, student_id, role, name, email, team, number, kana, seat_row, seat_column)
    SELECT $1, t.student_id, t.role,
        t.name, t.email, t.team, t.number, t.kana, t.seat_row, t.seat_column
    FROM unnest(
        $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::text[],
        $9::integer[], $10::integer[]
    ) AS t (student_id, role, name, email, team, number, kana, seat_row, seat_column)
    ORDER BY t.student_id
    ON CONFLICT (student_id, class_id) DO UPDATE SET
        role = EXCLUDED.role,
        name = COALESCE(EXCLUDED.name, line.name),
        email = COALESCE(EXCLUDED.email, line.email),
        team = COALESCE(EXCLUDED.team, line.team),
        number = COALESCE(EXCLUDED.number, line.number),
        kana = COALESCE(EXCLUDED.kana, line.kana),
        seat_row = COALESCE(EXCLUDED.seat_row, line.seat_row),
        seat_column = COALESCE(EXCLUDED.seat_column, line.seat_column),
        joined_at = CASE WHEN line.role = 'waiting' THEN EXCLUDED.joined_at ELSE line.joined_at END,
        joined_by = NULL
"""

# Who was waiting is a member from now on, as if put on the roster by hand.
_LET_IN = """
    UPDATE student_classes SET joined_at = now(), joined_by = NULL
    WHERE class_id = $1 AND student_id = $2 AND role = 'waiting'
"""

_FORGET_REMOVALS = """
    DELETE FROM class_removals WHERE class_id = $1 AND student_id = ANY($2::bigint[])
"""

_UPDATE = "UPDATE student_classes SET {changes} WHERE class_id = $1 AND student_id = $2"

_COUNT = "SELECT count(*) FROM student_classes WHERE class_id = $1"

_LINES = """
    SELECT class_id, student_id, user_id, name, email, team, role, joined_at,
        number, kana, seat_row, seat_column
    FROM ({members}) AS m WHERE class_id = $1
"""

# `$2` is whether the server is open.
_SELECT_ROSTER = _LINES.format(members=members(is_open="$2::boolean"))

_SELECT_PAGE = _SELECT_ROSTER + " ORDER BY user_id OFFSET $3 LIMIT $4"

_SELECT = _SELECT_ROSTER + " AND student_id = ANY($3::bigint[]) ORDER BY user_id"

_DELETE = """
    WITH removed AS (
        DELETE FROM student_classes WHERE class_id = $1 AND student_id = $2
        RETURNING student_id, class_id
    )
    INSERT INTO class_removals (student_id, class_id, removed_by)
    SELECT student_id, class_id, $3 FROM removed
    ON CONFLICT (student_id, class_id) DO UPDATE SET
        removed_at = EXCLUDED.removed_at, removed_by = $3
"""
