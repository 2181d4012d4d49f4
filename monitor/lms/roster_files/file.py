"""Reads a class's roster from a file as spreadsheets and learning management systems write it."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from monitor.errors import Detail, TooLarge
from monitor.lms.enrolment_report import (
    Remark,
    RosterEncoding,
    RosterField,
    RosterFile,
    RosterRemark,
)
from monitor.lms.enrolment_rows import MAX_LINES, Enrolment, EnrolmentRows
from monitor.lms.roster_files.cells import (
    UnusableCell,
    clean_id,
    clean_kana,
    clean_number,
    clean_seat,
    clean_text,
)
from monitor.lms.roster_files.encodings import decode
from monitor.lms.roster_files.layout import Layout, lay_out
from monitor.lms.roster_files.left_out import MESSAGES
from monitor.lms.roster_files.refused import detail, refuse, refused
from monitor.lms.roster_files.roles import role_of
from monitor.lms.roster_files.table import Row, read_table

MAX_BYTES = 4 * 1024 * 1024

_EAST_ASIAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uff66-\uff9f]")
_KANA: tuple[RosterField, ...] = ("kana", "last_kana", "first_kana")  # the family name first


class ParsedRoster(NamedTuple):
    """The enrolments of a file by line, how it was read, and what was left out."""

    enrolments: EnrolmentRows
    file: RosterFile
    remarks: list[RosterRemark]


def parse(
    body: bytes, *, encoding: RosterEncoding | None = None, id_column: int | None = None
) -> ParsedRoster:
    """The enrolments of a file; `encoding` and `id_column` (from 1) decide what is unclear.

    Raises InvalidBody, which names the line and says what to do, and TooLarge.
    """
    if len(body) > MAX_BYTES:
        raise TooLarge(f"A roster is larger than {MAX_BYTES} bytes: split it")
    text, known_encoding = decode(body, encoding)
    table = read_table(text)
    if not table.rows:
        raise refused(1, "the file is empty: it needs a column user_id (学籍番号)")
    layout = lay_out(table.rows, id_column)
    remarks = [_remark(row.line, why) for row, why in layout.left_out]
    rows = _enrolments(layout, remarks)
    file = RosterFile(
        format=layout.form,
        encoding=known_encoding,
        separator=table.separator,
        heading_line=layout.heading.line if layout.heading else None,
        columns=layout.columns(),
    )
    remarks.sort(key=lambda each: each.line)
    return ParsedRoster(EnrolmentRows(rows, "Lines"), file, remarks)


def _enrolments(layout: Layout, remarks: list[RosterRemark]) -> dict[int, Enrolment]:
    students = layout.students
    if not students:
        line = layout.heading.line if layout.heading else 1
        raise refused(line, "no students follow: write them below the headings")
    if len(students) > MAX_LINES:
        line = students[MAX_LINES].line
        raise refused(line, f"there are more than {MAX_LINES} students: split the file")
    rows: dict[int, Enrolment] = {}
    lines: dict[str, int] = {}
    errors: list[Detail] = []
    for row in students:
        try:
            enrolment, corrections = _enrolment(layout, row)
        except UnusableCell as error:
            errors.append(detail(row.line, str(error)))
            continue
        user_id = enrolment.user_id or ""
        first = lines.setdefault(user_id, row.line)
        if first == row.line:
            rows[row.line] = enrolment
            remarks += [_remark(row.line, why) for why in corrections]
        elif layout.form == "nbgrader":  # its grades have a row for each assignment
            remarks.append(_remark(row.line, "repeated"))
        else:
            errors.append(_twice(first, row.line, user_id))
    refuse(errors)
    return rows


def _twice(first: int, line: int, user_id: str) -> Detail:
    reason = f"Lines {first} and {line} both have the id {user_id}: remove one, or correct its id"
    return Detail(("body", line), reason, "value_error")


def _enrolment(layout: Layout, row: Row) -> tuple[Enrolment, list[Remark]]:
    """Raises UnusableCell."""
    cells = {field: text for field, text in _cells(layout, row) if text.strip()}
    if "user_id" not in cells:
        raise UnusableCell(f"there is no id in the column {_column(layout)}: write it")
    user_id, corrections = clean_id(cells.pop("user_id"))
    if not user_id:
        raise UnusableCell(f"there is no id in the column {_column(layout)}: write it")
    email = clean_id(cells.pop("email"))[0] if "email" in cells else None
    number, seat = clean_number(cells.pop("number", "")), clean_seat(cells.pop("seat", ""))
    kana, *parts = (clean_kana(cells.pop(field, "")) for field in _KANA)
    texts = {field: clean_text(text) for field, text in cells.items()}
    role = texts.get("role")
    if role and not role_of(role):
        raise UnusableCell(
            f"role: {role!r} is none: write student (学生), assistant (助手) or teacher (教員)"
        )
    enrolment = Enrolment(
        user_id=user_id,
        number=number,
        name=_name(texts, layout) or None,
        kana=kana or " ".join(filter(None, parts)) or None,
        email=email or (user_id if "@" in user_id else None),
        team=texts.get("team") or None,
        seat=seat,
        role=role_of(role) if role else None,
    )
    return enrolment, corrections


def _cells(layout: Layout, row: Row) -> Iterator[tuple[RosterField, str]]:
    for number, field in layout.fields.items():
        yield field, row.cells[number] if number < len(row.cells) else ""


def _column(layout: Layout) -> str:
    position = layout.position("user_id") or 0
    heading = layout.heading.cells if layout.heading else []
    name = heading[position].strip() if position < len(heading) else ""
    return f"{position + 1} ({name})" if name else str(position + 1)


def _name(texts: dict[RosterField, str], layout: Layout) -> str:
    """The family name first in East Asian scripts, else last; Canvas writes `Yamada, Hanako`."""
    name, last, first = (texts.get(field, "") for field in ("name", "last_name", "first_name"))
    if layout.form == "canvas" and name.count(",") == 1:
        last, first = (part.strip() for part in name.split(","))
        name = ""
    if name:
        return name
    parts = (last, first) if _EAST_ASIAN.search(last + first) else (first, last)
    return " ".join(filter(None, parts))


def _remark(line: int, why: Remark) -> RosterRemark:
    return RosterRemark(line, why, f"Line {line}: {MESSAGES[why]}")
