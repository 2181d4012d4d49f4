"""What an enrolment says: the rows of a file or of a request's array."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple, get_args

import msgspec

from monitor.database.paging import Id
from monitor.errors import Detail, InvalidBody
from monitor.events.event import Indexed, Required
from monitor.lms.rooms import parse_place

ClassRole = Literal["student", "assistant", "teacher"]
RosterRole = Literal["student", "assistant", "teacher", "waiting"]
LineNumber = Annotated[
    int, msgspec.Meta(ge=1, le=9_999, description="The number on the class's list")
]
SeatName = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=20,
        description="The letters of the row and the number of the column, as A3",
    ),
]
HOW_TO_WRITE_SEATS = "write the letters of the row and the number of the column, as A3"

# What an enrolment says of a line of the roster, beside whose it is.
LineField = Literal["number", "name", "kana", "email", "team", "seat", "role"]
LINE_FIELDS: tuple[LineField, ...] = get_args(LineField)


class Enrolment(msgspec.Struct, kw_only=True):
    """Enrols a student by `student_id` or by `user_id`; the latter is created if unknown.

    What is given replaces that of the class's roster: the number on its list, the name, how it is
    read (`kana`), email, team, and the seat, which nobody else may have. So does the role: without
    one a new member is a student, and who is on the roster keeps theirs. Enrolling lets in who is
    waiting.
    """

    student_id: Id | None = None
    user_id: Required | None = None
    name: Indexed | None = None
    email: Indexed | None = None
    team: Indexed | None = None
    role: ClassRole | None = None
    number: LineNumber | None = None
    kana: Indexed | None = None
    seat: SeatName | None = None

    def __post_init__(self) -> None:
        if (self.student_id is None) == (self.user_id is None):
            raise ValueError("One of student_id and user_id is required, and not both")
        if self.seat is not None:
            place = parse_place(self.seat)
            if place is None:
                raise ValueError(f"{self.seat!r} is no seat: {HOW_TO_WRITE_SEATS}")
            self.seat = str(place)


MAX_LINES = 10_000
MAX_ERRORS = 10  # that an answer lists
Enrolments = Annotated[list[Enrolment], msgspec.Meta(max_length=MAX_LINES)]


class EnrolmentRows(NamedTuple):
    """Enrolments by line of a file, from 1, or by index in an array; `noun` says which."""

    rows: Mapping[int, Enrolment]
    noun: Literal["Lines", "Items"] = "Items"

    def repeated(self, first: int, other: int) -> Detail:
        """The error that two rows are of one student."""
        who = key_of(self.rows[other])
        reason = f"{self.noun} {first} and {other} are both of the student {who}: remove one"
        return Detail(("body", other), reason, "value_error")

    def have_seats(self) -> bool:
        """Whether they give anybody a seat."""
        return any(row.seat for row in self.rows.values())

    def check(self, ids: Mapping[int, int | None]) -> None:
        """Raises InvalidBody if two rows are of one student, who may not exist yet."""
        first: dict[int | str, int] = {}
        repeated = [
            self.repeated(first[who], line)
            for line, row in self.rows.items()
            if first.setdefault(who := ids[line] or key_of(row), line) != line
        ]
        if repeated:
            raise InvalidBody(*repeated[:MAX_ERRORS])


def key_of(enrolment: Enrolment) -> str | int:
    """What identifies the student in `current_ids`."""
    return enrolment.user_id or enrolment.student_id or ""


def check_ids(enrolments: EnrolmentRows) -> None:
    """Raises InvalidBody where a user_id has a control character."""
    invalid = [
        Detail(("body", line), "user_id has a control character: remove it", "value_error")
        for line, row in enrolments.rows.items()
        if row.user_id and _CONTROL.search(row.user_id)
    ]
    if invalid:
        raise InvalidBody(*invalid[:MAX_ERRORS])


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
