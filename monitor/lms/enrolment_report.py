"""What an enrolment changes on a class's roster: the answer of a preview and of an upload."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from monitor.lms.enrolment_rows import LineField, RosterRole

RosterField = Literal["user_id", "last_name", "first_name", "last_kana", "first_kana", LineField]
RosterFormat = Literal[
    "headings", "no_headings", "moodle", "canvas", "google_classroom", "nbgrader"
]
RosterEncoding = Literal["utf-8", "utf-16", "cp932", "euc-jp", "iso-2022-jp"]
ColumnNumber = Annotated[int, msgspec.Meta(ge=1, le=1000, description="From 1")]

# Why a line may be somebody who is known under another id: the ids differ by case, by full width,
# or by leading zeros; the e-mail addresses are the same; or the id of one, or the number in it, is
# the part before the @ of the other's address.
Likeness = Literal["case", "width", "zeros", "email", "id_in_email"]

# What was done to a line: it is a title above the list, headings that nothing is known of, a line
# of totals, a note, Canvas's test student or a repetition, and was left out; or its id was
# corrected: written in full width, or with invisible characters.
Remark = Literal[
    "title", "headings", "totals", "note", "test_student", "repeated", "full_width", "invisible"
]


class EnrolQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`dry_run` changes nothing and answers what would change.

    `look_alikes` says who a line is that looks like exactly one known student: somebody `new`, or
    the `known` one.
    """

    dry_run: bool = False
    look_alikes: Literal["new", "known"] = "new"


class RosterQuery(EnrolQuery, frozen=True, kw_only=True):
    """The same, for a file. `encoding` is the file's, where it can't be recognised.

    `id_column` is the number of the column that has the ids, where another one would be taken.
    """

    encoding: RosterEncoding | UnsetType = UNSET
    id_column: ColumnNumber | UnsetType = UNSET


class RosterColumn(msgspec.Struct):
    """A column of the file, counted from 1. `field` is null where the column is ignored."""

    number: int
    heading: str | None
    field: RosterField | None


class RosterFile(msgspec.Struct):
    """How a file was read.

    `format` is whose export it is, by its headings; with `no_headings` the columns were guessed by
    what is in them, and `heading_line` is null.
    """

    format: RosterFormat
    encoding: RosterEncoding
    separator: Literal["comma", "semicolon", "tab"]
    heading_line: int | None
    columns: list[RosterColumn]


class RosterRemark(msgspec.Struct):
    """A line that was left out, or whose id was corrected, and why. `message` is in English."""

    line: int
    remark: Remark
    message: str


class FieldChange(msgspec.Struct):
    """A field of a line of the roster that changes, as the class sees it."""

    field: LineField
    old: int | str | None
    new: int | str | None


class LookAlike(msgspec.Struct):
    """Somebody whom a new line may mean.

    With a `student_id` it is a student whom the caller can see; with a `line`, also or only another
    line of the same file (of an array, an item's index).
    """

    user_id: str
    name: str | None
    student_id: int | None
    line: int | None
    on_roster: bool
    likenesses: list[Likeness]


class EnrolmentLine(msgspec.Struct, kw_only=True):
    """A line of the file, or an item of the array by its index from 0, and what it does.

    `outcome` is `new` for somebody who is not on the roster yet. `student_id` is null for who is
    new, before the enrolment. What else the roster has of them is as it will be.
    """

    line: int
    outcome: Literal["new", "changed", "unchanged"]
    user_id: str
    student_id: int | None
    number: int | None
    name: str | None
    kana: str | None
    email: str | None
    team: str | None
    seat: str | None
    role: RosterRole
    changes: list[FieldChange]
    looks_like: list[LookAlike]


class AbsentStudent(msgspec.Struct):
    """A student of the roster, or one who waits, who is not in the file; they stay as they are."""

    student_id: int
    user_id: str
    name: str | None
    role: RosterRole


class EnrolmentCounts(msgspec.Struct):
    """Lines by outcome; new lines that look like somebody; absent students; lines left out."""

    new: int
    changed: int
    unchanged: int
    look_alikes: int
    absent: int
    left_out: int


class RoomSize(msgspec.Struct):
    """Rows and columns of seats."""

    rows: int
    columns: int


class EnrolmentReport(msgspec.Struct):
    """What an enrolment changes (`dry_run`), or what it has changed.

    `lines` are in the order of the file; `absent` are in that of user_id, 1,000 at most, while
    `counts` counts all. `file` is null for an array. `room` is the size that the class's room gets
    to hold the seats, null if it stays as it is.
    """

    dry_run: bool
    counts: EnrolmentCounts
    file: RosterFile | None
    lines: list[EnrolmentLine]
    absent: list[AbsentStudent]
    remarks: list[RosterRemark]
    room: RoomSize | None
