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
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("＝1", "'＝1"),
        (["=1", "花", "=2"], "'=1; 花; '=2"),
        ("a;=1", "a;'=1"),
        ("a;@SUM(A1);-1", "a;'@SUM(A1);'-1"),
        ('a;"=1"', 'a;"\'=1"'),
        ('"=1"', '"\'=1"'),
        ("a\n=cmd|' /C calc'!A0", "a\n'=cmd|' /C calc'!A0"),
        ("a\r\n+1", "a\r\n'+1"),
        ("a\t=1", "a\t'=1"),
        ("a;＝1", "a;'＝1"),
        ('print("=" * 3)\n    - 1', 'print("=" * 3)\n    - 1'),
        (-1.5, "-1.5"),
        ("a=1", "a=1"),
        ('a"b,c\nd', 'a"b,c\nd'),
        (None, ""),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00+00:00"),
    ],
)
def test_a_cell_is_no_formula(value: Any, cell: str) -> None:
    assert cells(value) == [cell, "-1"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_cell_is_a_formula_whatever_separates_cells(separator: str) -> None:
    parts = ["=1", "+1", "@a", "\t=1", '"=1"', '";=1', "a;\n=1", 'a"\n"=1', 'a";"=1', "x\r=1;;=1"]
    for first in parts:
        for second in parts:
            body = bytes(csv_response("x", Row, [Row(f"{first};{second}"), Row(second)]).body)
            text = body.decode("utf-8-sig")
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
                for cell in row:
                    assert not cell.startswith(("=", "+", "@")), (text, cell)
