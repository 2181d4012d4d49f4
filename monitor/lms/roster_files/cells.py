"""Cells as spreadsheets leave them: what was meant, or why it can't be known."""

import re
import unicodedata

from monitor.lms.enrolment_report import Remark

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


class UnusableCell(Exception):
    """What is wrong with a cell, and what to do."""


def clean_text(cell: str) -> str:
    """A name, team, or role. Raises UnusableCell."""
    text = _unquoted(cell)
    if text.startswith("'") and text[1:].startswith(_FORMULA):
        text = text[1:]
    text = "".join(each for each in text if unicodedata.category(each) != "Cf" or each in _JOINERS)
    return _checked(unicodedata.normalize("NFC", _BLANKS.sub(" ", text).strip(f" {_JOINERS}")))


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
