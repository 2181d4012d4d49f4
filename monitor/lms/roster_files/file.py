"""Reads a class's roster from a file as spreadsheets and learning management systems write it."""

import csv
import io
from typing import NamedTuple

import msgspec

from monitor.errors import Detail, InvalidBody
from monitor.lms.enrolment_report import RosterColumn, RosterEncoding, RosterFile, RosterRemark
from monitor.lms.enrolment_rows import Enrolment, EnrolmentRows

_HEADINGS = {
    "user_id": "user_id", "userid": "user_id", "ユーザーid": "user_id", "学籍番号": "user_id",
    "name": "name", "user_name": "name", "username": "name", "氏名": "name", "名前": "name",
    "email": "email", "email_address": "email", "メール": "email", "メールアドレス": "email",
    "team": "team", "team_name": "team", "チーム": "team", "班": "team",
    "role": "role", "役割": "role",
}  # fmt: skip
_ROLES = {"学生": "student", "生徒": "student", "助手": "assistant", "教員": "teacher"}


class ParsedRoster(NamedTuple):
    """The enrolments of a file by line, how it was read, and what was left out."""

    enrolments: EnrolmentRows
    file: RosterFile
    remarks: list[RosterRemark]


def parse(
    body: bytes, *, encoding: RosterEncoding | None = None, id_column: int | None = None
) -> ParsedRoster:
    """The enrolments of a file. Raises InvalidBody, which names the line."""
    text = _decode(body).replace("\0", "\ufffd")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        headings = [_HEADINGS.get(heading.strip().lower()) for heading in next(lines, [])]
        if "user_id" not in headings:
            raise _invalid(1, "The first line has no heading user_id (学籍番号)")
        numbered = ((lines.line_num, row) for row in lines if any(row))
        rows = {line: _enrolment(headings, row, line) for line, row in numbered}
    except csv.Error as error:
        raise _invalid(lines.line_num, str(error)) from None
    columns = [
        RosterColumn(number, None, field)  # type: ignore[arg-type]
        for number, field in enumerate(headings, 1)
    ]
    file = RosterFile("headings", "utf-8", "comma", 1, columns)
    return ParsedRoster(EnrolmentRows(rows, "Lines"), file, [])


def _decode(body: bytes) -> str:
    for encoding in ("utf-8-sig", "cp932"):
        try:
            return body.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise _invalid(1, "The file is neither in UTF-8 nor in Shift_JIS")


def _enrolment(headings: list[str | None], row: list[str], line: int) -> Enrolment:
    cells = {name: cell.strip() for name, cell in zip(headings, row, strict=False) if name}
    fields = {name: cell for name, cell in cells.items() if cell}
    if "role" in fields:
        fields["role"] = _ROLES.get(fields["role"], fields["role"].lower())
    try:
        return msgspec.convert(fields, Enrolment)
    except msgspec.ValidationError as error:
        reason, _, name = str(error).partition(" - at `$.")
        raise _invalid(line, f"{name.strip('`')}: {reason}" if name else reason) from None


def _invalid(line: int, reason: str) -> InvalidBody:
    return InvalidBody(Detail(("body", line), f"Line {line}: {reason}", "value_error"))
