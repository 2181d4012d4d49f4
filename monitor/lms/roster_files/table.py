"""Splits a roster's text into rows of cells, each with its line in the file."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from typing import Literal, NamedTuple

from monitor.lms.roster_files.headings import heading_score
from monitor.lms.roster_files.refused import refused

Separator = Literal["comma", "semicolon", "tab"]

_SEPARATORS: dict[Separator, str] = {"comma": ",", "tab": "\t", "semicolon": ";"}
_SEP_LINE = re.compile(r'"?sep=([,;\t])"?[,;\t]*(\r\n|\r|\n|$)', re.IGNORECASE)
_MAX_ROWS = 20_000
_MAX_COLUMNS = 1_000
_MAX_CELL_LINES = 4
_SAMPLE = 30  # rows


class Row(NamedTuple):
    """A row that isn't blank: its first line in the file, from 1, and its cells."""

    line: int
    cells: list[str]


class Table(NamedTuple):
    """A file's rows without the blank ones, and what separates its cells."""

    rows: list[Row]
    separator: Separator


def read_table(text: str) -> Table:
    """The rows of a text, separated by what Excel's `sep=` says, or by what fits best.

    Raises InvalidBody.
    """
    first_line = 1
    if sep := _SEP_LINE.match(text):
        named = next(name for name, mark in _SEPARATORS.items() if mark == sep[1])
        text, first_line = text[sep.end() :], 2
        return Table(list(_rows(text, _SEPARATORS[named], first_line)), named)
    separator = max(_SEPARATORS, key=lambda name: _fit(text, _SEPARATORS[name]))
    return Table(list(_rows(text, _SEPARATORS[separator], first_line)), separator)


def _fit(text: str, mark: str) -> tuple[int, float]:
    """How well a separator fits: known headings, then rows of equal width."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    sample: list[list[str]] = []
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                sample.append(cells)
            if len(sample) == _SAMPLE:
                break
    except csv.Error:
        return 0, 0.0
    widths = Counter(len(cells) for cells in sample if len(cells) > 1)
    width, count = widths.most_common(1)[0] if widths else (1, 0)
    best = max((heading_score(cells) for cells in sample), default=0)
    return best, count / max(1, len(sample)) + min(width, 9) / 100


def _rows(text: str, mark: str, first_line: int) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    count, line = 0, first_line
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                _check(cells, line)
                count += 1
                if count > _MAX_ROWS:
                    raise refused(line, f"there are more than {_MAX_ROWS} rows: split the file")
                yield Row(line, cells)
            line = first_line + reader.line_num
    except csv.Error as error:
        raise refused(line, f"the cells can't be told apart ({error}): check its quotes") from None


def _check(cells: list[str], line: int) -> None:
    if len(cells) > _MAX_COLUMNS:
        raise refused(line, f"there are more than {_MAX_COLUMNS} columns: remove some")
    if any(len(re.findall(r"\r\n|\r|\n", cell)) >= _MAX_CELL_LINES for cell in cells):
        raise refused(line, "a quoted cell goes on for many lines: is a quotation mark missing?")
