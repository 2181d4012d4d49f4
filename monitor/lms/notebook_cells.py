"""What is odd about the cells of a notebook, and the limits to them."""

import re

import msgspec

from monitor.lms.findings import Findings, quoted
from monitor.lms.notebook_errors import InvalidNotebook
from monitor.lms.notebook_json import (
    ABSENT,
    Objects,
    array,
    is_array,
    is_object,
    is_text,
    string,
)
from monitor.lms.notebook_metadata import check_cell_metadata
from monitor.lms.notebook_outputs import check_output, is_count

MAX_ELEMENTS = 10_000  # cells of a notebook, and outputs of a cell
MAX_OUTPUTS = 50_000  # of a notebook

_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_FORMAT_WITH_IDS = 5  # the minor one
_NEWEST = 5
_TYPES = {"code", "markdown", "raw"}
_OLD_TYPES = _TYPES | {"heading", "html"}


class _Cell(msgspec.Struct):
    cell_type: msgspec.Raw = ABSENT
    id: msgspec.Raw = ABSENT
    metadata: msgspec.Raw = ABSENT
    source: msgspec.Raw = ABSENT
    attachments: msgspec.Raw = ABSENT
    outputs: msgspec.Raw = ABSENT
    execution_count: msgspec.Raw = ABSENT


class _OldCell(msgspec.Struct):
    """A cell of formats before 4."""

    cell_type: msgspec.Raw = ABSENT
    outputs: msgspec.Raw = ABSENT


class Cells:
    """Checks the cells of a notebook, in their order. `minor` is null in formats before 4."""

    def __init__(self, findings: Findings, minor: int | None) -> None:
        self._findings = findings
        self._old = minor is None
        self._has_ids = minor is not None and minor >= _FORMAT_WITH_IDS
        self._extra = minor is not None and minor <= _NEWEST
        self._ids: set[str] = set()
        self._without_id = self._with_id = 0
        self._index = 0
        self._outputs = 0

    def check(self, raw: msgspec.Raw) -> None:
        """Adds what is odd about the cells of an array.

        Raises InvalidNotebook if Jupyter can't open it, or there are too many.
        """
        cells = array(raw, MAX_ELEMENTS)
        if cells is None or self._index + len(cells) > MAX_ELEMENTS:
            raise InvalidNotebook(
                f"The notebook has more than {MAX_ELEMENTS:,} cells: split it, and hand in a part"
            )
        for cell in cells:
            self._findings.begin_cell(self._index)
            if not is_object(cell):
                raise _unreadable(f"The cell at index {self._index} is no object")
            if self._old:
                self._check_old(_OLD_CELL.decode(cell))
            else:
                self._check(*_CELLS.decode(cell))
            self._index += 1

    def check_ids(self) -> None:
        """Adds what is odd about the ids of all cells."""
        if self._has_ids and self._without_id:
            self._findings.add(f"{_cells(self._without_id)} no id")
        if not self._has_ids and self._with_id:
            self._findings.add(f"{_cells(self._with_id)} an id, which came with format 4.5")

    def _check(self, cell: _Cell, unknown: str | None) -> None:
        kind = self._check_type(cell.cell_type, _TYPES)
        if unknown is not None and self._extra:
            self._findings.add_to_cell(f"Has {quoted(unknown)}, which the format hasn't")
        self._check_id(cell.id)
        check_cell_metadata(cell.metadata, self._findings)
        if not is_text(cell.source):
            self._findings.add_to_cell(_missing("source", cell.source, "text"))
        if kind == "code":
            self._check_code(cell)
        elif kind is not None:
            self._check_text(cell, kind)
        if cell.outputs is not ABSENT:
            self._check_outputs(cell.outputs)

    def _check_type(self, raw: msgspec.Raw, types: set[str]) -> str | None:
        """The type; None if it is none that Jupyter knows."""
        kind = string(raw)
        if kind in types:
            return kind
        named = "no type" if kind is None else f"the type {quoted(kind)}, which is unknown"
        self._findings.add_to_cell(f"Has {named}")
        return None

    def _check_id(self, raw: msgspec.Raw) -> None:
        if raw is ABSENT:
            self._without_id += 1
            return
        self._with_id += 1
        cell_id = string(raw)
        if cell_id is None or not _ID.fullmatch(cell_id):
            self._findings.add_to_cell(
                "The id isn't 1 to 64 letters of the alphabet, digits, hyphens and underscores"
            )
        elif cell_id in self._ids:
            self._findings.add_to_cell("Has the id of a cell before")
        else:
            self._ids.add(cell_id)

    def _check_code(self, cell: _Cell) -> None:
        if not is_array(cell.outputs):
            self._findings.add_to_cell(_missing("outputs", cell.outputs, "a list"))
        if not is_count(cell.execution_count):
            shape = "a whole number or null"
            self._findings.add_to_cell(_missing("execution_count", cell.execution_count, shape))
        if cell.attachments is not ABSENT:
            self._findings.add_to_cell("A code cell has attachments")

    def _check_text(self, cell: _Cell, kind: str) -> None:
        if cell.outputs is not ABSENT:
            self._findings.add_to_cell(f"A {kind} cell has outputs")
        if cell.execution_count is not ABSENT:
            self._findings.add_to_cell(f"A {kind} cell has an execution count")
        if cell.attachments is not ABSENT and not is_object(cell.attachments):
            self._findings.add_to_cell(_missing("attachments", cell.attachments, "an object"))

    def _check_old(self, cell: _OldCell) -> None:
        self._check_type(cell.cell_type, _OLD_TYPES)
        if cell.outputs is not ABSENT:
            self._check_outputs(cell.outputs)

    def _check_outputs(self, raw: msgspec.Raw) -> None:
        if not is_array(raw):
            return
        outputs = array(raw, MAX_ELEMENTS)
        if outputs is None:
            limit = f"The cell at index {self._index} has more than {MAX_ELEMENTS:,} outputs"
            raise InvalidNotebook(f"{limit}: clear its output, and hand the notebook in again")
        self._outputs += len(outputs)
        if self._outputs > MAX_OUTPUTS:
            limit = f"The notebook has more than {MAX_OUTPUTS:,} outputs"
            raise InvalidNotebook(f"{limit}: clear those of some cells, and hand it in again")
        for output in outputs:
            if not is_object(output):
                raise _unreadable(f"An output of the cell at index {self._index} is no object")
            if not self._old:
                check_output(output, self._findings, extra=self._extra)


def _unreadable(reason: str) -> InvalidNotebook:
    return InvalidNotebook(f"{reason}: open the notebook in Jupyter, save it, and hand it in again")


def _missing(name: str, raw: msgspec.Raw, shape: str) -> str:
    return f"Has no {quoted(name)}" if raw is ABSENT else f"{quoted(name)} isn't {shape}"


def _cells(count: int) -> str:
    return "A cell has" if count == 1 else f"{count:,} cells have"


_CELLS = Objects(_Cell)
_OLD_CELL = msgspec.json.Decoder(_OldCell)
