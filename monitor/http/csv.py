"""Tables as CSV that Excel opens correctly (byte order mark) and that can't inject formulas.

The separator is a comma. Where Excel expects a semicolon, a file that it opens by a double click is
in one column, split where a cell has a semicolon or a line break: no formula may begin there
either. A first line `sep=,` would help Excel, but then it ignores the mark, and other programs take
the line for headings: docs/insight.md says how to import the file.
"""

import csv
import io
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

CSV = "text/csv"
Converters = Mapping[str, Callable[[Any], str]]  # by field: its value as text

_BYTE_ORDER_MARK = "\ufeff"  # without it Excel reads the text as Shift_JIS
# What a spreadsheet may take for a formula: at the start of a cell, or of what becomes a cell where
# the separator is a semicolon or a tab. Quotes before it are dropped there.
_FORMULA = re.compile(r'(?:\A"*(?=[=+\-@\t\r\n＝＋－＠]))|(?:[;\t\r\n]"*(?=[=+\-@＝＋－＠]))')


def csv_response(
    name: str,
    row_type: type[msgspec.Struct],
    rows: Iterable[msgspec.Struct],
    converters: Converters | None = None,
) -> Response:
    """All rows as the file `name`.csv; the headings are the fields' names.

    Lists of numbers or strings are joined by `; `; `converters` have other fields' values as text.
    """
    body = _BYTE_ORDER_MARK + _lines([_headings(row_type)]) + _lines(_cells(rows, converters or {}))
    return Response(body.encode(), headers=_headers(name), media_type=CSV)


def csv_stream(
    name: str, row_type: type[msgspec.Struct], pages: AsyncIterator[Sequence[msgspec.Struct]]
) -> Response:
    """The rows of all pages as the file `name`.csv, page by page as they are read."""

    async def body() -> AsyncIterator[bytes]:
        yield (_BYTE_ORDER_MARK + _lines([_headings(row_type)])).encode()
        async for page in pages:
            yield _lines(_cells(page, {})).encode()

    return StreamingResponse(body(), headers=_headers(name), media_type=CSV)


def csv_rows(
    name: str,
    rows: Iterable[Sequence[str]],
    *,
    is_safe: Callable[[str], bool],
    has_mark: bool = True,
) -> Response:
    """These rows, headings first, as the file `name`.csv for another program.

    Of the cells that a spreadsheet could take for a formula those that are `is_safe` stay as they
    are. Without `has_mark` there is no byte order mark.
    """
    cells = ([cell if is_safe(cell) else _cell_value(cell) for cell in row] for row in rows)
    body = (_BYTE_ORDER_MARK if has_mark else "") + _lines(cells)
    return Response(body.encode(), headers=_headers(name), media_type=CSV)


def _headers(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}.csv"'}


def _headings(row_type: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(row_type)]


def _lines(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cells(rows: Iterable[msgspec.Struct], converters: Converters) -> Iterable[list[Any]]:
    for row in rows:
        fields = msgspec.structs.asdict(row)
        for name, convert in converters.items():
            fields[name] = convert(fields[name])
        yield [_cell_value(value) for value in fields.values()]


def _cell_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        value = "; ".join(str(_cell_value(item)) for item in value)
    if isinstance(value, str):
        return _FORMULA.sub(r"\g<0>'", value)  # prevents formula injection
    return value
