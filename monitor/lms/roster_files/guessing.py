"""Guesses the columns of a list without headings, such as cells copied from a spreadsheet."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

from monitor.lms.enrolment_report import RosterField
from monitor.lms.roster_files.roles import role_of

_EMAIL = re.compile(r"[^\s@]+[@＠][^\s@]+\.[^\s@]+")
_ID = re.compile(r"[\w.@+\-]*\d[\w.@+\-]*", re.ASCII)
_ANY_ID = re.compile(r"[\w.@+\-]+", re.ASCII)
_TEAM = re.compile(
    r"(チーム|グループ|班|team|group)\s*\S{0,10}|\S{0,10}(班|組|チーム|グループ)|[A-Za-z]|\d{1,2}",
    re.IGNORECASE,
)
_SEAT = re.compile(r"[A-Za-z]{1,2}-?[1-9]\d?")
_EAST_ASIAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_KANJI = re.compile(r"[\u3400-\u9fff々]")
_KANA_ONLY = re.compile(r"[ぁ-ゖァ-ヺー\s\uff61-\uff9f]+")
_MOST = 0.8  # of a column's cells


def guess_columns(rows: Sequence[Sequence[str]]) -> dict[int, RosterField]:
    """The fields by position of the column; without `user_id` where none can be the ids.

    By content first: an address has an @, ids differ and have digits, seats are A1, A2 …, teams
    repeat, 1, 2, 3 … are numbers on the class's list. What is left are names, a family name before
    a given one, and how they are read.
    """
    columns = {
        number: cells
        for number in range(max(map(len, rows)))
        if any(cells := [_cell(row, number) for row in rows])
    }
    fields: dict[int, RosterField] = {}
    _take(fields, "email", [n for n, cells in columns.items() if _mostly(_EMAIL, cells)])
    _take(fields, "role", [n for n in _left(columns, fields) if _are_roles(columns[n])])
    _take(fields, "user_id", _ids(columns, fields))
    if "user_id" in fields.values():
        _take(fields, "number", [n for n in _left(columns, fields) if _is_numbering(columns[n])])
    _take(fields, "seat", [n for n in _left(columns, fields) if _are_seats(columns[n])])
    left = [n for n in _left(columns, fields) if not _is_numbering(columns[n])]
    names = [n for n in left if _are_names(columns[n])]
    if not names:
        names = [n for n in left if not _are_teams(columns[n])][:1]
    _name(fields, columns, names)
    teams = [n for n in left if n not in fields and n not in names]
    _take(fields, "team", teams)
    if "user_id" not in fields.values():
        _id_for_want_of_better(fields, columns)
    return fields


def _cell(row: Sequence[str], number: int) -> str:
    text = unicodedata.normalize("NFKC", row[number]).strip() if number < len(row) else ""
    return re.sub(r'^(?:="(.*)"|\'(.*))$', r"\1\2", text)


def _left(columns: Mapping[int, list[str]], fields: Mapping[int, RosterField]) -> list[int]:
    return [number for number in columns if number not in fields]


def _take(fields: dict[int, RosterField], field: RosterField, numbers: Sequence[int]) -> None:
    if numbers:
        fields[numbers[0]] = field


def _mostly(pattern: re.Pattern[str], cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    matching = sum(pattern.fullmatch(cell) is not None for cell in filled)
    return bool(filled) and matching >= _MOST * len(filled)


def _are_roles(cells: Sequence[str]) -> bool:
    return all(role_of(cell) for cell in cells if cell)


def _ids(columns: Mapping[int, list[str]], fields: Mapping[int, RosterField]) -> list[int]:
    """The columns that may be ids, the best first: a numbering of the rows is none.

    Ids have digits, or are ASCII beside names that are not; that one is in the list twice is to be
    refused, and makes no team of them.
    """
    left = [n for n in _left(columns, fields) if not _is_numbering(columns[n])]
    able = [n for n in left if _mostly(_ID, columns[n]) and not _repeats(columns[n])]
    if not able and "email" not in fields.values():
        words = [n for n in left if _are_words(columns[n]) and not _are_teams(columns[n])]
        able = words if len(words) == 1 else []
    return sorted(able, key=lambda n: (_mostly(_TEAM, columns[n]) or _are_seats(columns[n]), n))


def _repeats(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return len(filled) >= 4 and len(set(filled)) <= len(filled) / 2


def _are_words(cells: Sequence[str]) -> bool:
    return all(_ANY_ID.fullmatch(cell) for cell in cells) and len(set(cells)) == len(cells)


def _is_numbering(cells: Sequence[str]) -> bool:
    """1, 2, 3 … in each row."""
    filled = [cell for cell in cells if cell]
    return filled == [str(number) for number in range(1, len(filled) + 1)]


def _are_seats(cells: Sequence[str]) -> bool:
    """A1, A2 … all different: teams repeat."""
    filled = [cell for cell in cells if cell]
    return len(filled) > 2 and len({*filled}) == len(filled) and _mostly(_SEAT, filled)


def _are_names(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    lettered = [cell for cell in filled if not re.search(r"\d", cell) and len(cell) > 1]
    return not _are_teams(cells) and len(lettered) >= _MOST * len(filled) > 0


def _are_teams(cells: Sequence[str]) -> bool:
    return _mostly(_TEAM, cells) or _repeats(cells)


def _name(
    fields: dict[int, RosterField], columns: Mapping[int, list[str]], numbers: list[int]
) -> None:
    """One column of names or two; those in kana beside kanji say how they are read."""
    kanji = [n for n in numbers if any(_KANJI.search(cell) for cell in columns[n])]
    kana = [n for n in numbers if kanji and _mostly(_KANA_ONLY, columns[n])]
    names = [n for n in numbers if n not in kana]
    _take(fields, "kana", kana if len(kana) == 1 else [])
    if len(kana) == 2 and kana[1] == kana[0] + 1:
        fields[kana[0]], fields[kana[1]] = "last_kana", "first_kana"
    if not names:
        return
    if len(names) > 1 and names[1] == names[0] + 1 and _are_parts(columns, names[:2]):
        latin = not any(_EAST_ASIAN.search(cell) for cell in columns[names[0]])
        given, family = names[:2] if latin else names[1::-1]
        fields[family], fields[given] = "last_name", "first_name"
    else:
        fields[names[0]] = "name"


def _are_parts(columns: Mapping[int, list[str]], numbers: Sequence[int]) -> bool:
    return not any(" " in cell for number in numbers for cell in columns[number])


def _id_for_want_of_better(
    fields: dict[int, RosterField], columns: Mapping[int, list[str]]
) -> None:
    """An e-mail address; else the numbering of the rows."""
    for number, field in fields.items():
        if field == "email":
            fields[number] = "user_id"
            return
    _take(fields, "user_id", [n for n in columns if _is_numbering(columns[n])])
