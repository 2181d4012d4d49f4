"""The Markdown texts of a submitted notebook, which may be irregular."""

from typing import Any

import msgspec

from monitor.events.escapes import repair
from monitor.events.json_text import without_nan

_MAX_LEVEL = 6  # of a heading


class _Notebook(msgspec.Struct):
    """`worksheets` have the cells before nbformat 4; their lines may lack line breaks."""

    cells: msgspec.Raw = msgspec.Raw(b"[]")
    worksheets: msgspec.Raw = msgspec.Raw(b"[]")


class _Worksheet(msgspec.Struct):
    cells: msgspec.Raw = msgspec.Raw(b"[]")


class _Cell(msgspec.Struct):
    """What is read of a cell; not its outputs, which may be large."""

    cell_type: Any = None
    source: Any = ""
    level: Any = 1  # of a heading in nbformat 3


def markdown_texts(content: bytes) -> list[str | None]:
    """A text for each cell that is Markdown, None for each other, in order.

    Empty if the notebook is nested too deep to be read.
    """
    try:
        notebook = _NOTEBOOKS.decode(without_nan(repair(content)))
    except RecursionError:
        return []
    texts = [_text(cell, "") for cell in _items(notebook.cells)]
    for sheet in _items(notebook.worksheets):
        try:
            cells = _items(_WORKSHEETS.decode(sheet).cells)
        except msgspec.ValidationError:  # no object
            continue
        texts += [_text(cell, "\n") for cell in cells]
    return texts


def _items(array: msgspec.Raw) -> list[msgspec.Raw]:
    try:
        return _ARRAYS.decode(array)
    except msgspec.ValidationError:  # null, or no array
        return []


def _text(content: msgspec.Raw, between: str) -> str | None:
    """The cell's text. Between its lines is `between`, unless they end in line breaks."""
    try:
        cell = _CELLS.decode(content)
    except (msgspec.ValidationError, RecursionError):  # no object, or nested too deep
        return None
    if cell.cell_type not in ("markdown", "heading"):
        return None
    lines = cell.source if isinstance(cell.source, list) else [cell.source]
    texts = [line for line in lines if isinstance(line, str)]
    text = ("" if texts and texts[0].endswith("\n") else between).join(texts)
    return text if cell.cell_type == "markdown" else f"{'#' * _level(cell)} {text}"


def _level(cell: _Cell) -> int:
    return cell.level if isinstance(cell.level, int) and 0 < cell.level <= _MAX_LEVEL else 1


_NOTEBOOKS = msgspec.json.Decoder(_Notebook)
_WORKSHEETS = msgspec.json.Decoder(_Worksheet)
_ARRAYS = msgspec.json.Decoder(list[msgspec.Raw])
_CELLS = msgspec.json.Decoder(_Cell)
