"""What a column's heading means, and whose export has such headings.

Moodle's are those of its participants' list and of its grade export, in English and Japanese;
Canvas's those of the gradebook's export; nbgrader's the columns of its students and of its export.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Literal

from monitor.lms.enrolment_report import RosterFormat

# `school_id` is the school's or the server's id, `login` a user name, `internal` another system's
# id; `number` counts a class's students.
Meaning = Literal[
    "school_id",
    "login",
    "internal",
    "number",
    "name",
    "last_name",
    "first_name",
    "kana",
    "last_kana",
    "first_kana",
    "email",
    "team",
    "seat",
    "role",
]

_WORDS: Mapping[Meaning, str] = {
    "school_id": """
        userid studentid studentnumber studentno idnumber sisuserid matriculationnumber
        ユーザーid ユーザid 学籍番号 学生番号 生徒番号 学生id 生徒id 学生証番号 idナンバー id番号
    """,
    "login": """
        username login loginid loginname sisloginid netid account ユーザ名 ユーザー名 ログインid
        ログイン名 アカウント アカウント名
    """,
    "internal": "id",
    "number": """
        number no rollnumber rollno classnumber attendancenumber 番号 番 出席番号 出席no 出席簿番号
        名簿番号 出番 クラス番号
    """,
    "name": """
        name fullname displayname studentname student 氏名 名前 姓名 学生氏名 生徒氏名 学生名 生徒名
        フルネーム 漢字氏名 氏名漢字
    """,
    "last_name": "lastname surname familyname 姓 氏 苗字 名字",
    "first_name": "firstname givenname forename 名",
    "last_kana": "セイ せい",
    "first_kana": "メイ めい",
    "email": """
        email emailaddress mail mailaddress メール メールアドレス eメール eメールアドレス 電子メール
        電子メールアドレス
    """,
    "team": "team teamname group groups groupname section チーム チーム名 班 グループ グループ名",
    "seat": "seat seats seatno seatnumber 座席 席 座席番号 席番号 座席位置",
    "role": "role roles 役割 ロール 役職",
}
_MEANINGS: Mapping[str, Meaning] = {
    word: meaning for meaning, words in _WORDS.items() for word in words.split()
}
_IDS: tuple[Meaning, ...] = ("school_id", "login", "internal", "email")
_ANY_NUMBERS = ("number", "no", "番号")  # may be anything that somebody numbers by
_FIRST = ("userid", "ユーザーid", "ユーザid")  # this API's own name
_READING = re.compile(
    "カタカナ|ひらがな|フリガナ|ふりがな|ヨミガナ|よみがな|読み仮名|読みがな|読み方|読み|ヨミ|よみ|カナ|かな|仮名"
    "|kana|furigana|yomi|reading|phonetic"
)
_READINGS: Mapping[Meaning | None, Meaning] = {
    "name": "kana",
    "last_name": "last_kana",
    "first_name": "first_kana",
}
_BRACKETED = re.compile(r"[(\[【].*?[)\]】]|[*※:]")
_NOTHING = re.compile(r"[\s_\-./・]")
_BRACKETS = re.compile(r"[(\[【)\]】]")


def plain(heading: str) -> str:
    """A heading without case, width, spaces, marks and what stands in brackets."""
    return _NOTHING.sub("", _BRACKETED.sub("", _folded(heading)))


def _folded(heading: str) -> str:
    return unicodedata.normalize("NFKC", heading).casefold().lstrip("\ufeff")


def meaning_of(heading: str) -> Meaning | None:
    """What the column of this heading holds; None where it is of no use here."""
    rest, readings = _READING.subn("", _NOTHING.sub("", _BRACKETS.sub("", _folded(heading))))
    if readings and not rest:
        return "kana"
    reading = _READINGS.get(_MEANINGS.get(rest)) if readings else None
    return reading or _MEANINGS.get(plain(heading))


def is_any_number(heading: str) -> bool:
    """Whether a heading says only that its column numbers something."""
    return plain(heading) in _ANY_NUMBERS


def meanings_of(cells: Sequence[str]) -> list[Meaning | None]:
    """What the columns of these headings hold.

    `氏名（ふりがな）` are readings beside another column of names, and else names.
    """
    meanings = [meaning_of(cell) for cell in cells]
    if set(_READINGS) & set(meanings):
        return meanings
    named = zip(cells, meanings, strict=True)
    return [_MEANINGS.get(plain(cell), meaning) for cell, meaning in named]


def heading_score(cells: Sequence[str]) -> int:
    """How many cells are known headings, if they are headings of a roster; else 0."""
    meanings = [meaning_of(cell) for cell in cells]
    if any("@" in cell for cell in cells) or not any(each in _IDS for each in meanings):
        return 0
    return sum(each is not None for each in meanings)


def names_only(cells: Sequence[str]) -> bool:
    """Whether cells are headings of a list that has no ids.

    In a row of a student かな may be a name, and `No` a surname or an answer: neither counts,
    except `No` on the left, where numbers are.
    """
    if any("@" in cell for cell in cells):
        return False
    unsure = set(_READINGS.values())
    known = [
        meaning
        for position, cell in enumerate(cells)
        if (meaning := meaning_of(cell))
        and meaning not in unsure
        and (position == 0 or _folded(cell).strip() != "no")
    ]
    return len(known) > 1 and not any(each in _IDS for each in known)


def format_of(cells: Sequence[str]) -> RosterFormat:
    """Whose export has these headings."""
    words = [plain(cell) for cell in cells]
    have = set(words)
    if have & {"sisloginid", "sisuserid"} or words[:2] == ["student", "id"]:
        return "canvas"
    texts = {unicodedata.normalize("NFKC", cell).strip().casefold() for cell in cells}
    if {"first_name", "last_name"} <= texts and texts & {"id", "student_id"}:
        return "nbgrader"
    if words[:3] in (["lastname", "firstname", "emailaddress"], ["姓", "名", "メールアドレス"]):
        return "google_classroom"
    if _is_moodle(have):
        return "moodle"
    return "headings"


def _is_moodle(have: set[str]) -> bool:
    english = "firstname" in have and bool(have & {"lastname", "surname"})
    japanese = {"姓", "名"} <= have
    return (english and bool(have & {"idnumber", "emailaddress", "username"})) or (
        japanese and bool(have & {"idナンバー", "メールアドレス", "ユーザ名", "ユーザー名"})
    )


def id_order(cells: Sequence[str], form: RosterFormat) -> list[int]:
    """The positions of the columns that may hold the ids, the best first."""

    def rank(position: int) -> tuple[int, int]:
        word, meaning = plain(cells[position]), meaning_of(cells[position])
        if word in _FIRST:
            return 0, position
        own_id = form == "nbgrader" and meaning == "internal"
        return 1 if own_id else 2 + _IDS.index(meaning or "email"), position

    return sorted(
        (number for number, cell in enumerate(cells) if meaning_of(cell) in _IDS), key=rank
    )
