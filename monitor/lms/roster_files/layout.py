"""Finds the headings of a roster's table, and which column holds what."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from monitor.lms.enrolment_report import Remark, RosterColumn, RosterField, RosterFormat
from monitor.lms.roster_files.cells import is_number
from monitor.lms.roster_files.guessing import guess_columns
from monitor.lms.roster_files.headings import (
    Meaning,
    format_of,
    heading_score,
    id_order,
    is_any_number,
    meaning_of,
    meanings_of,
    names_only,
    plain,
)
from monitor.lms.roster_files.left_out import repeats_headings, why_left_out
from monitor.lms.roster_files.refused import refused
from monitor.lms.roster_files.table import Row

_ABOVE = 20  # rows in which the headings are looked for
_FIELDS: tuple[Meaning, ...] = ("name", "last_name", "first_name", "email", "team", "role")
_OF_CLASSES: tuple[Meaning, ...] = ("number", "kana", "last_kana", "first_kana", "seat")
_NO_IDS = (
    "no column has the ids: give one the heading user_id (学籍番号), or an e-mail address (メール)"
)


class Layout(NamedTuple):
    """Where a table has what: `fields` by position of the column, from 0; its students' rows."""

    form: RosterFormat
    heading: Row | None
    fields: dict[int, RosterField]
    students: list[Row]
    left_out: list[tuple[Row, Remark]]

    def position(self, field: RosterField) -> int | None:
        """The position of the column that holds a field."""
        return _position(self.fields, field)

    def columns(self) -> list[RosterColumn]:
        """All columns up to the last one that has a heading or is used, counted from 1."""
        headings = [cell.strip() for cell in self.heading.cells] if self.heading else []
        while headings and not headings[-1]:
            headings.pop()
        count = max(len(headings), 1 + max(self.fields))
        numbers = range(1, count + 1)
        return [
            RosterColumn(number, heading or None, self.fields.get(number - 1))
            for number, heading in zip_longest(numbers, headings)
        ]


def lay_out(rows: Sequence[Row], id_column: int | None) -> Layout:
    """The layout of a table that isn't empty. Raises InvalidBody."""
    scores = [heading_score(row.cells) for row in rows[:_ABOVE]]
    if max(scores):
        return _headed(rows, scores.index(max(scores)), id_column)
    for index, row in enumerate(rows[:_ABOVE]):
        if names_only(row.cells):
            id_column = id_column or _numbered_by_ids(row, rows[index + 1 :])
            if id_column is None:
                raise refused(row.line, _NO_IDS)
            return _headed(rows, index, id_column)
    return _guessed(rows, id_column)


def _headed(rows: Sequence[Row], index: int, id_column: int | None) -> Layout:
    heading = rows[index]
    form = format_of(heading.cells)
    left_out: list[tuple[Row, Remark]] = [(row, "title") for row in rows[:index]]
    body = rows[index + 1 :]
    ids = id_order(heading.cells, form)
    if id_column is not None:
        ids = [_checked(id_column, body, heading.line)]
    filled = (n for n in ids if any(_cell(row, n) and _is_student(row, ids) for row in body))
    user_id = next(filled, ids[0])
    fields = _fields(heading, user_id, form)
    if (number := _position(fields, "number")) is not None and _is_no_number(heading, body, number):
        del fields[number]
    students: list[Row] = []
    for row in body:
        remark = (
            "headings" if repeats_headings(row.cells, heading.cells) else _remark(row, fields, form)
        )
        if remark:
            left_out.append((row, remark))
        else:
            students.append(row)
    return Layout(form, heading, fields, students, left_out)


def _is_student(row: Row, ids: Sequence[int]) -> bool:
    """Whether a row may be one, before it is known which column has the ids."""
    values = [_cell(row, number) for number in ids]
    return why_left_out(row.cells, next(filter(None, values), ""), "?", "headings") is None


def _position(fields: Mapping[int, RosterField], field: RosterField) -> int | None:
    return next((number for number, each in fields.items() if each == field), None)


def _numbered_by_ids(heading: Row, body: Sequence[Row]) -> int | None:
    """The column, from 1, of a list without ids whose numbers are ids all the same."""
    for position, cell in enumerate(heading.cells):
        if meaning_of(cell) == "number" and _is_no_number(heading, body, position):
            return position + 1
    return None


def _is_no_number(heading: Row, body: Sequence[Row], position: int) -> bool:
    """Whether a column that is just called `No.` or 番号 has something else than numbers."""
    filled = [cell for row in body if (cell := _cell(row, position))]
    numbers = sum(is_number(cell) for cell in filled)
    return is_any_number(heading.cells[position]) and bool(filled) and numbers < len(filled) / 2


def _fields(heading: Row, user_id: int, form: RosterFormat) -> dict[int, RosterField]:
    meanings = meanings_of(heading.cells)
    _refuse_twins(heading, user_id)
    fields: dict[int, RosterField] = {}
    # A gradebook of Canvas has columns with titles of assignments.
    for field in _FIELDS if form == "canvas" else _FIELDS + _OF_CLASSES:
        places = [n for n, each in enumerate(meanings) if each == field and n != user_id]
        if places:
            fields[places[0]] = field  # type: ignore[assignment]
    if not {"name", "last_name", "first_name"} & set(fields.values()) and "login" in meanings:
        fields.setdefault(meanings.index("login"), "name")  # as `userName` in events
    fields[user_id] = "user_id"
    return fields


def _refuse_twins(heading: Row, user_id: int) -> None:
    words = [plain(cell) for cell in heading.cells]
    if user_id < len(words) and words[user_id] and words.count(words[user_id]) > 1:
        name = heading.cells[user_id].strip()
        raise refused(heading.line, f"two columns are called {name}: rename or remove one")


def _guessed(rows: Sequence[Row], id_column: int | None) -> Layout:
    left_out: list[tuple[Row, Remark]] = []
    rows = _without_title(rows, left_out)
    rows, footers = _split(rows)
    left_out += footers
    if not rows:
        raise refused(1, f"there are no students: {_NO_IDS}")
    sample = rows[1:] if len(rows) > 2 else rows
    fields = guess_columns([row.cells for row in sample])
    if len(sample) < len(rows) and _is_unknown_heading(rows, fields):
        left_out.append((rows[0], "headings"))
        rows = rows[1:]
    else:
        fields = guess_columns([row.cells for row in rows])
    if id_column is not None:
        position = _checked(id_column, rows, rows[0].line)
        fields = {n: each for n, each in fields.items() if each != "user_id"}
        fields[position] = "user_id"
    if "user_id" not in fields.values():
        raise refused(rows[0].line, _NO_IDS)
    return Layout("no_headings", None, fields, list(rows), left_out)


def _without_title(rows: Sequence[Row], left_out: list[tuple[Row, Remark]]) -> Sequence[Row]:
    """Drops single cells above rows of several."""
    filled = [sum(bool(cell.strip()) for cell in row.cells) for row in rows]
    start = 0
    while start < min(len(rows) - 1, _ABOVE) and filled[start] == 1:
        start += 1
    if max(filled) == 1 or filled[start] == 1:
        return rows
    left_out += [(row, "title") for row in rows[:start]]
    return rows[start:]


def _split(rows: Sequence[Row]) -> tuple[list[Row], list[tuple[Row, Remark]]]:
    students: list[Row] = []
    left_out: list[tuple[Row, Remark]] = []
    for row in rows:
        remark = why_left_out(row.cells, "", "?", "no_headings")
        if remark:
            left_out.append((row, remark))
        else:
            students.append(row)
    return students, left_out


def _is_unknown_heading(rows: Sequence[Row], fields: dict[int, RosterField]) -> bool:
    """Whether the first row has words where all others have ids with digits, or addresses."""
    for number, field in fields.items():
        first, others = _cell(rows[0], number), [_cell(row, number) for row in rows[1:]]
        if first and field == "user_id" and not _has_digit(first) and all(map(_has_digit, others)):
            return True
        if first and "@" not in first and all("@" in cell for cell in others):
            return True
    return False


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _remark(row: Row, fields: dict[int, RosterField], form: RosterFormat) -> Remark | None:
    texts = {field: _cell(row, number) for number, field in fields.items()}
    name = texts.get("name") or texts.get("last_name") or texts.get("first_name") or ""
    return why_left_out(row.cells, texts["user_id"], name, form)


def _cell(row: Row, number: int) -> str:
    return row.cells[number].strip() if number < len(row.cells) else ""


def _checked(id_column: int, rows: Sequence[Row], line: int) -> int:
    if not any(_cell(row, id_column - 1) for row in rows):
        raise refused(line, f"the column {id_column} is empty: it can't have the ids")
    return id_column - 1
