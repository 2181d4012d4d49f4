"""Cells of a CSV that a spreadsheet opens unchanged, and never as formulas."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from monitor.http.csv import csv_response


class Row(msgspec.Struct):
    value: Any
    last: int = -1


def cells(value: Any) -> list[str]:
    text = bytes(csv_response("x", Row, [Row(value)]).body).decode("utf-8-sig")
    head, row = csv.reader(io.StringIO(text))
    assert head == ["value", "last"]
    return row


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("＝1", "'＝1"),
        (["=1", "花"], "'=1; 花"),
        (-1.5, "-1.5"),
        ("a=1", "a=1"),
        ('a"b,c\nd', 'a"b,c\nd'),
        (None, ""),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00+00:00"),
    ],
)
def test_a_cell_is_no_formula(value: Any, cell: str) -> None:
    assert cells(value) == [cell, "-1"]
