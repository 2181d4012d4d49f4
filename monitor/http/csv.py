"""Tables as CSV that a spreadsheet opens as it is, in Japan too, and runs nothing of."""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

CSV = "text/csv"
_BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes the text for Shift_JIS
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def csv_response(name: str, kind: type[msgspec.Struct], rows: Iterable[msgspec.Struct]) -> Response:
    """All rows, under the names of their type's fields."""
    head = _lines([_headings(kind)])
    body = _BYTE_ORDER_MARK + head + _lines(map(_cells, rows))
    return Response(body.encode(), headers=_headers(name), media_type=CSV)


def csv_stream(
    name: str, kind: type[msgspec.Struct], pages: AsyncIterator[Sequence[msgspec.Struct]]
) -> Response:
    """Page by page, as they are read."""

    async def body() -> AsyncIterator[bytes]:
        yield (_BYTE_ORDER_MARK + _lines([_headings(kind)])).encode()
        async for page in pages:
            yield _lines(map(_cells, page)).encode()

    return StreamingResponse(body(), headers=_headers(name), media_type=CSV)


def _headers(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}.csv"'}


def _headings(kind: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def _lines(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cells(row: msgspec.Struct) -> list[Any]:
    return [_cell(value) for value in msgspec.structs.astuple(row)]


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"  # a spreadsheet would take it for a formula
    return value
