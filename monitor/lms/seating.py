"""Seats that a roster gives: who has them already, and whether the room is large enough."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from monitor.database.pool import Connection
from monitor.database.resource import Invalid
from monitor.errors import Detail, InvalidBody
from monitor.lms.enrolment_rows import HOW_TO_WRITE_SEATS, MAX_ERRORS, EnrolmentRows
from monitor.lms.rooms import Place, hold, parse_place


class SeatHolder(NamedTuple):
    """A student of the roster and their seat, as `A3`."""

    student_id: int
    user_id: str
    name: str | None
    seat: str


def check_seats(
    enrolments: EnrolmentRows, ids: Mapping[int, int | None], holders: Iterable[SeatHolder]
) -> None:
    """Raises InvalidBody if a seat is given to two, or is that of somebody who keeps it.

    `ids` are the students' by row, None for new ones. Rows may swap seats.
    """
    seats = {line: row.seat for line, row in enrolments.rows.items() if row.seat}
    leaving = {ids[line]: seat for line, seat in seats.items()}
    staying = {
        each.seat: each for each in holders if leaving.get(each.student_id, each.seat) == each.seat
    }
    errors = list(_errors(enrolments, ids, seats, staying))
    if errors:
        raise InvalidBody(*errors[:MAX_ERRORS])


def _errors(
    enrolments: EnrolmentRows,
    ids: Mapping[int, int | None],
    seats: Mapping[int, str],
    staying: Mapping[str, SeatHolder],
) -> Iterator[Detail]:
    first: dict[str, int] = {}
    for line, seat in seats.items():
        holder = staying.get(seat)
        if first.setdefault(seat, line) != line:
            reason = (
                f"{enrolments.noun} {first[seat]} and {line} both have the seat {seat}:"
                " give one of them another"
            )
        elif holder is not None and holder.student_id != ids[line]:
            row = enrolments.rows[line]
            sitter = _who(row.name, row.user_id or f"student {row.student_id}")
            reason = (
                f"{enrolments.noun.removesuffix('s')} {line}: {sitter} can't have the seat {seat},"
                f" {_who(holder.name, holder.user_id)} has it: give one of them another"
            )
        else:
            continue
        yield Detail(("body", line), reason, "value_error")


def _who(name: str | None, user_id: str) -> str:
    return f"{name} ({user_id})" if name else user_id


async def take_seats(
    connection: Connection, class_id: int, enrolments: EnrolmentRows, ids: Mapping[int, int]
) -> None:
    """Makes room for the seats of these rows, and checks that they are free.

    Until the end of the transaction nobody else gives seats of the class. `ids` are the students'
    by row. Raises NotFound, and what `check_seats` does.
    """
    if places := _places(enrolments):
        await hold(connection, class_id)
        await _make_room(connection, class_id, places)
        check_seats(enrolments, ids, await _holders(connection, class_id))


async def grown_room(
    connection: Connection, class_id: int, enrolments: EnrolmentRows
) -> tuple[int, int] | None:
    """Rows and columns that the room gets to hold the seats of these rows; None if it stays."""
    places = _places(enrolments)
    if not places:
        return None
    row = await connection.fetchrow(_SELECT_SIZE, class_id)
    before = (row["seat_rows"], row["seat_columns"]) if row else (0, 0)
    rows, columns = (max(numbers) for numbers in zip(before, *places, strict=True))
    return None if (rows, columns) == before else (rows, columns)


def _places(enrolments: EnrolmentRows) -> list[Place]:
    return [place for row in enrolments.rows.values() if (place := place_of(row.seat))]


async def take_seat(connection: Connection, class_id: int, student_id: int, seat: str) -> Place:
    """The place of a seat that a student of the class gets; makes room for it.

    `hold` comes before. Raises Invalid if it names no seat, or somebody else has it.
    """
    place = parse_place(seat)
    if place is None:
        raise Invalid("seat", f"{seat!r} is no seat: {HOW_TO_WRITE_SEATS}")
    await _make_room(connection, class_id, [place])
    for holder in await _holders(connection, class_id):
        if holder.seat == str(place) and holder.student_id != student_id:
            who = _who(holder.name, holder.user_id)
            raise Invalid("seat", f"{who} has the seat {place}: give them another one first")
    return place


def place_of(seat: str | None) -> Place | None:
    """Where a seat is; None without one."""
    return parse_place(seat) if seat else None


async def _make_room(connection: Connection, class_id: int, places: Iterable[Place]) -> None:
    rows, columns = (max(numbers) for numbers in zip(*places, strict=True))
    await connection.execute(_MAKE_ROOM, class_id, rows, columns)


async def _holders(connection: Connection, class_id: int) -> list[SeatHolder]:
    rows = await connection.fetch(_SELECT_HOLDERS, class_id)
    return [
        SeatHolder(row["student_id"], row["user_id"], row["name"], str(Place(*row["place"])))
        for row in rows
    ]


_MAKE_ROOM = """
    INSERT INTO rooms AS r (class_id, seat_rows, seat_columns) VALUES ($1, $2, $3)
    ON CONFLICT (class_id) DO UPDATE SET
        seat_rows = GREATEST(r.seat_rows, EXCLUDED.seat_rows),
        seat_columns = GREATEST(r.seat_columns, EXCLUDED.seat_columns)
"""

_SELECT_SIZE = "SELECT seat_rows, seat_columns FROM rooms WHERE class_id = $1"

_SELECT_HOLDERS = """
    SELECT m.student_id, s.user_id, COALESCE(shown(m.name), shown(s.name)) AS name,
        ARRAY[m.seat_row, m.seat_column] AS place
    FROM student_classes AS m JOIN students AS s ON s.id = m.student_id
    WHERE m.class_id = $1 AND m.seat_row IS NOT NULL
"""
