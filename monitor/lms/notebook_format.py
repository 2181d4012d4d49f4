"""Reads the notebooks that students hand in; never changes them.

What Jupyter opens is accepted, and what is odd about it is stored with it. Values stay bytes:
reading them takes linear time and little memory, and stops at limits. `nbformat` and its schemas
aren't used: a list of all errors of a schema has no bound.
"""

import hashlib

import msgspec

from monitor.database.irregularity import Irregularity
from monitor.events.escapes import repair
from monitor.events.json_text import without_nan
from monitor.lms.findings import Findings, quoted
from monitor.lms.notebook_cells import Cells
from monitor.lms.notebook_errors import InvalidNotebook
from monitor.lms.notebook_json import ABSENT, Objects, array, is_array, is_object, whole_number
from monitor.lms.notebook_metadata import check_metadata

NOT_A_NUMBER = "Has NaN or Infinity, which JSON hasn't: answers have null in place of them"

_OLDEST_FORMAT, _FORMAT = 2, 4  # Jupyter opens format 1 without its code
_NEWEST_MINOR = 5
_MAX_WORKSHEETS = 100
_SAVE_AGAIN = "open it in Jupyter, save it, and hand it in again"


class _Notebook(msgspec.Struct):
    nbformat: msgspec.Raw = ABSENT
    nbformat_minor: msgspec.Raw = ABSENT
    metadata: msgspec.Raw = ABSENT
    cells: msgspec.Raw = ABSENT
    worksheets: msgspec.Raw = ABSENT  # of formats before 4


class _Worksheet(msgspec.Struct):
    cells: msgspec.Raw = ABSENT


class HandedIn(msgspec.Struct, frozen=True, tag=True):
    """The SHA-256 in hex of a notebook as the student sent it, and what is odd about it."""

    sha256: str
    irregularities: list[Irregularity]


class Refused(msgspec.Struct, frozen=True, tag=True):
    """Why a notebook isn't taken."""

    reason: str


def read_as_json(content: bytes) -> bytes:
    """A worker's job: the HandedIn of a notebook or, if it is refused, a Refused, as JSON."""
    try:
        return msgspec.json.encode(read_notebook(content))
    except InvalidNotebook as error:
        return msgspec.json.encode(Refused(error.reason))


def read_notebook(content: bytes) -> HandedIn:
    """It takes 0.2 µs for each byte at worst, a large notebook seconds: let a worker do it.

    Raises InvalidNotebook, with a sentence that says what to do, if Jupyter can't open it or it is
    over a limit.
    """
    findings = Findings()
    try:
        repaired = repair(content)
        plain = without_nan(repaired)
        if plain is not repaired:
            findings.add(NOT_A_NUMBER)
        if repaired is not content and repaired != content:
            findings.add("Has NUL characters, or halves of a pair of surrogates, in a text")
        notebook, unknown = _NOTEBOOKS.decode(plain)
    except msgspec.ValidationError:
        raise InvalidNotebook("Not a notebook: send the JSON object of an .ipynb file") from None
    except msgspec.DecodeError as error:
        raise InvalidNotebook(f"The notebook is no JSON ({error}): {_SAVE_AGAIN}") from None
    except RecursionError:
        raise InvalidNotebook(f"The notebook is nested too deep: {_SAVE_AGAIN}") from None
    major = _format(notebook)
    if major < _FORMAT:
        findings.add(f"The notebook is in format {major}: Jupyter opens it as one in format 4")
        _check_old(notebook, findings)
    else:
        _check(notebook, unknown, findings)
    digest = hashlib.sha256(content).hexdigest()
    return HandedIn(digest, findings.irregularities())


def _format(notebook: _Notebook) -> int:
    """Raises InvalidNotebook if it isn't one that Jupyter opens."""
    major = whole_number(notebook.nbformat)
    if major is None:
        reason = "Not a notebook, for nbformat is missing or no number"
        raise InvalidNotebook(f"{reason}: {_SAVE_AGAIN}")
    if major > _FORMAT:
        older = f"save it in format {_FORMAT}, and hand it in again"
        raise InvalidNotebook(f"The notebook is in format {major}, which is too new: {older}")
    if major < _OLDEST_FORMAT:
        raise InvalidNotebook(f"The notebook is in format {major}, which is too old: {_SAVE_AGAIN}")
    return major


def _check(notebook: _Notebook, unknown: str | None, findings: Findings) -> None:
    minor = whole_number(notebook.nbformat_minor)
    if minor is None:
        findings.add("nbformat_minor is missing, or no whole number")
        minor = _NEWEST_MINOR
    elif minor > _NEWEST_MINOR:
        newest = f"{_FORMAT}.{_NEWEST_MINOR}"
        findings.add(f"The format's minor version is newer than {newest}, the newest known here")
    if minor <= _NEWEST_MINOR:
        if notebook.worksheets is not ABSENT:
            unknown = "worksheets"
        if unknown is not None:
            findings.add(f"Has {quoted(unknown)}, which the format hasn't")
    check_metadata(notebook.metadata, findings)
    if not is_array(notebook.cells):
        raise InvalidNotebook(f"Not a notebook, for it has no list of cells: {_SAVE_AGAIN}")
    cells = Cells(findings, minor)
    cells.check(notebook.cells)
    cells.check_ids()


def _check_old(notebook: _Notebook, findings: Findings) -> None:
    check_metadata(notebook.metadata, findings)
    sheets = array(notebook.worksheets, _MAX_WORKSHEETS) if is_array(notebook.worksheets) else None
    if sheets is None:
        limit = f"a list of at most {_MAX_WORKSHEETS} worksheets"
        raise InvalidNotebook(f"Not a notebook, for it hasn't {limit}: {_SAVE_AGAIN}")
    cells = Cells(findings, None)
    for sheet in sheets:
        content = _WORKSHEET.decode(sheet).cells if is_object(sheet) else ABSENT
        if not is_array(content):
            raise InvalidNotebook(f"A worksheet has no list of cells: {_SAVE_AGAIN}")
        cells.check(content)


_NOTEBOOKS = Objects(_Notebook)
_WORKSHEET = msgspec.json.Decoder(_Worksheet)
