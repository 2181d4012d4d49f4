"""Rows of a roster that are no students: totals, notes, headings once more."""

import re
import unicodedata
from collections.abc import Sequence

from monitor.lms.enrolment_report import Remark, RosterFormat
from monitor.lms.roster_files.headings import plain

_TOTALS = re.compile(
    r"(合\s*計|小計|総計|計|(クラスの?)?平均点?|人数|件数|在籍数?|受講者数|履修者数|登録者数"
    r"|(grand )?totals?|sub-?total|sum|(overall |class )?average|mean|count|points possible)"
    r"([\s:：(（].*|\d.*)?",
    re.IGNORECASE,
)
_CLASSROOM = re.compile(r"(date|points|日付|点数|満点|期限).*", re.IGNORECASE)
_NOTE = re.compile(
    r"([※*＊].*|注\S{0,3}[:：].*|(作成|更新|出力|印刷)日.*|以\s*上|\d+\s*(名|人)|notes?:.*)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[\d.,%\s名人件点()-]*")
MESSAGES: dict[Remark, str] = {
    "title": "above the list, taken for a title and left out",
    "headings": "taken for headings and left out",
    "totals": "taken for totals, not for a student, and left out",
    "note": "taken for a note and left out",
    "test_student": "Canvas's test student, left out",
    "repeated": "the same student once more, left out",
    "full_width": "the id is written in full width, and taken as the same in ASCII",
    "invisible": "the id has invisible characters, which were removed",
}


def why_left_out(
    cells: Sequence[str], user_id: str, name: str, form: RosterFormat
) -> Remark | None:
    """Why a row is left out, by its cells and those of the id and the name; None: it is not."""
    filled = [unicodedata.normalize("NFKC", cell).strip() for cell in cells if cell.strip()]
    first = filled[0]
    if form == "canvas" and (remark := _canvas(first, user_id, name)):
        return remark
    if any("@" in cell for cell in filled):
        return None
    in_id = bool(user_id) and unicodedata.normalize("NFKC", user_id).strip() != first
    if in_id:
        return None
    if _TOTALS.fullmatch(first) and all(map(_NUMBER.fullmatch, filled[1:])):
        return "totals"
    if form == "google_classroom" and not user_id and _CLASSROOM.fullmatch(first):
        return "totals"
    return "note" if len(filled) <= 2 and _NOTE.fullmatch(first) else None


def _canvas(first: str, user_id: str, name: str) -> Remark | None:
    if first.startswith("Points Possible"):
        return "totals"
    if not user_id and not name:
        return "note"  # which assignments are hidden
    return "test_student" if not user_id and name == "Student, Test" else None


def repeats_headings(cells: Sequence[str], headings: Sequence[str]) -> bool:
    """Whether a row is the headings again, as on each page of a printed list."""
    return list(map(plain, cells)) == list(map(plain, headings))
