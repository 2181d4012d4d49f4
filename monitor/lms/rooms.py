"""The room of a class: rows and columns of seats with aisles, and who sits where."""

import re
import unicodedata
from string import ascii_uppercase
from typing import Annotated, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.pool import Connection
from monitor.database.resource import Invalid
from monitor.errors import Detail, InvalidBody, NotFound
from monitor.lms.classes import CLASSES

MAX_SIDE = 50  # rows or columns
_MAX_SEATS = MAX_SIDE * MAX_SIDE

Side = Annotated[int, msgspec.Meta(ge=1, le=MAX_SIDE)]
Aisles = Annotated[list[Side], msgspec.Meta(max_length=MAX_SIDE)]


class Place(NamedTuple):
    """Row, from 1 at the front, and column, from 1 at the left as seen from the seats."""

    row: int
    column: int

    def __str__(self) -> str:
        """As people write it: `A3` is the third seat of the first row, the 27th row is AA."""
        first, last = divmod(self.row - 1, len(ascii_uppercase))
        letters = ascii_uppercase[first - 1] if first else ""
        return f"{letters}{ascii_uppercase[last]}{self.column}"


def parse_place(text: str) -> Place | None:
    """The seat that a text names: A3, a-3, Ａ３ or, by row and column, 1-3; None if it is none."""
    match = _SEAT.fullmatch(unicodedata.normalize("NFKC", text).strip().upper())
    if match is None:
        return None
    letters, row = match["letters"], 0
    for letter in letters or "":
        row = row * len(ascii_uppercase) + ascii_uppercase.index(letter) + 1
    place = Place(row or int(match["row"]), int(match["column"]))
    return place if max(place) <= MAX_SIDE and min(place) >= 1 else None


_SEAT = re.compile(
    r"(?:(?P<letters>[A-Z]{1,2})\s*-?|(?P<row>[0-9]{1,3})\s*-)\s*(?P<column>[0-9]{1,3})"
)


class Seat(msgspec.Struct):
    """A student's seat. Rows count from 1 at the front, columns from 1 at the left."""

    student_id: int
    row: Side
    column: Side


class RoomUpdate(msgspec.Struct):
    """The room of a class, and who sits where.

    Who is not in `seats` has none; without `seats` everybody stays. There is an aisle after each of
    the columns in `aisles`; without `aisles` they stay, too.
    """

    rows: Side
    columns: Side
    aisles: Aisles | UnsetType = UNSET
    seats: Annotated[list[Seat], msgspec.Meta(max_length=_MAX_SEATS)] | UnsetType = UNSET


class Room(msgspec.Struct):
    """The room of a class; also the `data` of a `room` message.

    Without a room of its own `rows` and `columns` are 0.
    """

    rows: int = 0
    columns: int = 0
    aisles: list[int] = []
    seats: list[Seat] = []


async def room(connection: Connection, class_id: int) -> Room:
    """Seats by row and column. Raises NotFound."""
    await CLASSES.get(connection, class_id)
    row = await connection.fetchrow(_SELECT_ROOM, class_id)
    seats = await connection.fetch(_SELECT_SEATS, class_id)
    return Room(**(row or {}), seats=[Seat(**seat) for seat in seats])


async def update(connection: Connection, class_id: int, body: RoomUpdate) -> Room:
    """Changes the room, and the seats if they are sent.

    Raises NotFound, and InvalidBody for an impossible seat, also of somebody who keeps it.
    """
    await hold(connection, class_id)
    before = await room(connection, class_id)
    if body.seats is UNSET:
        _check_kept(body, before.seats)
    else:
        _check(body, body.seats)
    aisles = before.aisles if body.aisles is UNSET else body.aisles
    inner = sorted({column for column in aisles if column < body.columns})
    await connection.execute(_UPSERT_ROOM, class_id, body.rows, body.columns, inner)
    if body.seats is not UNSET:
        await _seat(connection, class_id, body.seats)
    return await room(connection, class_id)


async def hold(connection: Connection, class_id: int) -> None:
    """Until the end of the transaction nobody else changes the room or gives seats of the class.

    Comes before all locks of the room and of lines of rosters: see `monitor.auth.authorisation`.
    Raises NotFound.
    """
    if await connection.fetchval(_HOLD, class_id) is None:
        raise NotFound(f"There is no class {class_id}")


async def _seat(connection: Connection, class_id: int, seats: list[Seat]) -> None:
    columns = [[getattr(seat, name) for seat in seats] for name in Seat.__struct_fields__]
    seated = await connection.fetchval(_SEAT_STUDENTS, class_id, *columns)
    if seated < len(seats):
        raise InvalidBody(await _stranger(connection, class_id, seats))


def _check(body: RoomUpdate, seats: list[Seat]) -> None:
    places: set[Place] = set()
    students: set[int] = set()
    for index, seat in enumerate(seats):
        place = Place(seat.row, seat.column)
        if _is_outside(seat, body):
            reason = f"There is no seat {place}: the room has {body.rows} rows of {body.columns}"
        elif place in places:
            reason = f"The seat {place} is given to two students"
        elif seat.student_id in students:
            reason = f"The student {seat.student_id} has two seats"
        else:
            places.add(place)
            students.add(seat.student_id)
            continue
        raise InvalidBody(Detail(("body", "seats", index), reason, "value_error"))


def _check_kept(body: RoomUpdate, seats: list[Seat]) -> None:
    for seat in seats:
        if _is_outside(seat, body):
            side = "rows" if seat.row > body.rows else "columns"
            raise Invalid(
                side,
                f"The student {seat.student_id} has the seat {Place(seat.row, seat.column)}, which"
                " the room would not have: send `seats`, too",
            )


def _is_outside(seat: Seat, body: RoomUpdate) -> bool:
    return seat.row > body.rows or seat.column > body.columns


async def _stranger(connection: Connection, class_id: int, seats: list[Seat]) -> Detail:
    ids = [seat.student_id for seat in seats]
    known = {row["student_id"] for row in await connection.fetch(_SELECT_SEATS, class_id)}
    index = next(index for index, student_id in enumerate(ids) if student_id not in known)
    reason = f"The student {ids[index]} is not in the class {class_id}"
    return Detail(("body", "seats", index), reason, "reference_error")


_SELECT_ROOM = """
    SELECT seat_rows AS rows, seat_columns AS columns, aisles FROM rooms WHERE class_id = $1
"""

_SELECT_SEATS = """
    SELECT student_id, seat_row AS row, seat_column AS column FROM student_classes
    WHERE class_id = $1 AND seat_row IS NOT NULL ORDER BY seat_row, seat_column
"""

_HOLD = "SELECT id FROM classes WHERE id = $1 FOR NO KEY UPDATE"

_UPSERT_ROOM = """
    INSERT INTO rooms (class_id, seat_rows, seat_columns, aisles) VALUES ($1, $2, $3, $4)
    ON CONFLICT (class_id) DO UPDATE SET seat_rows = EXCLUDED.seat_rows,
        seat_columns = EXCLUDED.seat_columns, aisles = EXCLUDED.aisles
"""

# In the order of ids, as rosters are written: see `enrol`. Returns how many have a seat.
_SEAT_STUDENTS = """
    WITH line AS MATERIALIZED (
        SELECT m.student_id, wanted.row, wanted.column FROM student_classes AS m
        LEFT JOIN unnest($2::bigint[], $3::integer[], $4::integer[])
            AS wanted (student_id, row, "column") USING (student_id)
        WHERE m.class_id = $1 AND (wanted.row IS NOT NULL OR m.seat_row IS NOT NULL)
        ORDER BY m.student_id FOR UPDATE OF m
    ), seated AS (
        UPDATE student_classes AS m SET seat_row = line.row, seat_column = line.column
        FROM line WHERE m.class_id = $1 AND m.student_id = line.student_id
        RETURNING m.seat_row
    )
    SELECT count(seat_row) FROM seated
"""
