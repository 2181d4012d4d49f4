"""Cells as spreadsheets leave them: what was meant, or why it can't be known."""

import re
import unicodedata

from monitor.lms.enrolment_report import Remark
from monitor.lms.rooms import parse_place

MAX_LENGTH = 512

_QUOTED = re.compile(r'="(.*)"', re.DOTALL)  # how text that looks like a number is kept as text
_ERROR = re.compile(r"#(N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!|SPILL!|CALC!|#+)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
_BLANKS = re.compile(r"\s+")
_FORMULA = tuple("=+-@＝＋－＠\t\r\n")
_JOINERS = "\u200c\u200d"  # some scripts and emoji need them in a name
_SPOILT = (
    (re.compile(r"\d(?:[.,]\d+)?E\+\d+", re.IGNORECASE), "Excel has rounded the number"),
    (re.compile(r"\d+\.0+"), "it is a number with a decimal"),
    (re.compile(r"\d{1,3}(,\d{3})+"), "it is a number with separators"),
    (re.compile(r"\d{1,2}月\d{1,2}日"), "Excel has made a date of it"),
    (
        re.compile(
            r"(\d{1,2}-)?(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)(-\d{2,4})?",
            re.IGNORECASE,
        ),
        "Excel has made a date of it",
    ),
)
_AS_TEXT = 'format the column as text and enter the ids again, or write ="…"'


_NUMBER = re.compile(r"([0-9]{1,4})(?:\.0+)?番?")  # 7.0 is how a spreadsheet may write 7
_DASHES = re.compile("[‐‑‒–—―−ーｰ]")
_LETTERED_SEAT = re.compile(r"([A-Z]{1,2})列([0-9]+)番?", re.IGNORECASE)  # as in a theatre
_NUMBERED_SEAT = re.compile(r"([0-9]+)行([0-9]+)列")
_DATE = re.compile(
    r"\d{1,4}([/年]\d{1,2})?[/月]\d{1,2}日?|[0-9]{1,2}-[A-Z][a-z]{2}|[A-Z][a-z]{2}-[0-9]{1,4}"
)


class UnusableCell(Exception):
    """What is wrong with a cell, and what to do."""


def clean_text(cell: str) -> str:
    """A name, team, or role. Raises UnusableCell."""
    text = _unquoted(cell)
    if text.startswith("'") and text[1:].startswith(_FORMULA):
        text = text[1:]
    text = "".join(each for each in text if unicodedata.category(each) != "Cf" or each in _JOINERS)
    return _checked(unicodedata.normalize("NFC", _BLANKS.sub(" ", text).strip(f" {_JOINERS}")))


def clean_number(cell: str) -> int | None:
    """The number on the class's list; None for an empty cell. Raises UnusableCell."""
    text = _narrow_text(cell)
    if not text:
        return None
    match = _NUMBER.fullmatch(text)
    if match is None or not int(match[1]):
        raise UnusableCell(f"number: {text!r} is none: write one of 1 to 9999, or leave it empty")
    return int(match[1])


def is_number(cell: str) -> bool:
    """Whether a cell is a number on a class's list, as `clean_number` reads it."""
    match = _NUMBER.fullmatch(unicodedata.normalize("NFKC", cell).strip("='\" \u3000"))
    return match is not None and int(match[1]) > 0


def _narrow_text(cell: str) -> str:
    """The text of a cell that has a number, without what keeps it as text. Raises UnusableCell."""
    return re.sub("^['\u2019]", "", unicodedata.normalize("NFKC", clean_text(cell)).strip())


def clean_kana(cell: str) -> str:
    """How a name is read, with katakana of half width made full. Raises UnusableCell."""
    return _checked(unicodedata.normalize("NFKC", clean_text(cell)).strip())


def clean_seat(cell: str) -> str | None:
    """A seat as `A3`; None for an empty cell. Raises UnusableCell."""
    written = _narrow_text(cell)
    if not written:
        return None
    text = _DASHES.sub("-", "".join(written.split()))
    text = _NUMBERED_SEAT.sub(r"\1-\2", _LETTERED_SEAT.sub(r"\1\2", text))
    place = parse_place(text)
    if place is None:
        form = "write the letters of the row and the number of the column, as A3, or 1-3"
        if _DATE.fullmatch(written):
            form = f"Excel has made a date of it: format the column as text and {form}"
        raise UnusableCell(f"seat: {written!r} is none: {form}")
    return str(place)


def clean_id(cell: str) -> tuple[str, list[Remark]]:
    """An id or an e-mail address, and how it was corrected. Raises UnusableCell."""
    text = _unquoted(cell)
    remarks: list[Remark] = []
    visible = "".join(each for each in text if unicodedata.category(each) != "Cf")
    if visible != text:
        remarks.append("invisible")
    narrow = "".join(_narrow(each) for each in visible)
    if narrow != visible:
        remarks.append("full_width")
    if re.search(r"[\t\r\n]", narrow.strip()):
        raise UnusableCell("the id has a line break or a tab within: remove it")
    bare = re.sub("^['\u2019]", "", narrow.strip())  # which keeps a number as text
    text = _checked(unicodedata.normalize("NFC", _BLANKS.sub(" ", bare).strip()))
    for pattern, what in _SPOILT:
        if pattern.fullmatch(text):
            raise UnusableCell(f"{text!r} is not the id any more ({what}): {_AS_TEXT}")
    return text, remarks


def _narrow(character: str) -> str:
    """ASCII for a character of full width."""
    if "！" <= character <= "～":
        return chr(ord(character) - 0xFEE0)
    return " " if character == "\u3000" else character


def _unquoted(cell: str) -> str:
    """A cell's text. Raises UnusableCell where it has control characters."""
    text = cell.strip()
    if control := _CONTROL.search(text):
        raise UnusableCell(f"there is a control character (U+{ord(control[0]):04X}): remove it")
    if quoted := _QUOTED.fullmatch(text):
        return quoted[1].replace('""', '"').strip()
    return text


def _checked(text: str) -> str:
    if "\ufffd" in text:
        raise UnusableCell(
            "there is U+FFFD, so characters were lost when the file was made: make it again"
        )
    if _ERROR.match(text):
        raise UnusableCell(f"{text!r} is an error of the spreadsheet: correct the cell")
    if text.startswith(("=", "＝")):
        raise UnusableCell(f"{text[:50]!r} is a formula: paste its value in its place")
    if len(text) > MAX_LENGTH:
        raise UnusableCell(f"a cell has {len(text)} characters, at most {MAX_LENGTH} are possible")
    return text
