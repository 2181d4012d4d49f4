"""Answers as CSV: for spreadsheets, in Japan too, and running nothing."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from monitor.http.csv import csv_response
from tests.support.factories import now
from tests.support.replicas import Replica


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


def read(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.content.startswith(b"\xef\xbb\xbf")
    assert "attachment" in answer.headers["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


def test_each_question_is_answered_as_json_and_as_csv(replica: Replica) -> None:
    with httpx.Client(base_url=f"{replica.url}/api/v1") as client:
        client.post("/classes", json={"name": "1組", "class_code": "1"})
        client.post("/classes/1/students", json=[{"user_id": "花子"}])
        event = {
            "eventType": "cell_error",
            "userId": "花子",
            "notebookPath": "a.ipynb",
            "cellId": "c1",
            "sessionId": "s1",
            "errorMessage": "=E: 'x'",
            "eventTime": now().isoformat(),
        }
        assert client.post("/events", json=[event]).json()["stored"] == 1
        many = [{"eventType": "cell_executed", "userId": "花子"} for _ in range(250)]
        many.append({"eventType": "notebook_opened", "userId": "花子", "notebookPath": "a.ipynb"})
        assert client.post("/events", json=many).json()["stored"] == 251
        client.post("/assignments", json={"class_id": 1, "notebook_id": 1, "title": "課題"})
        client.post("/submissions", json={"assignment_id": 1, "user_id": "花子"})
        paths = {
            "/classes/1/now": 1,
            "/classes/1/activity": 60,
            "/classes/1/errors": 1,
            "/classes/1/notebooks/1/cells": 1,
            "/classes/1/notebooks/1/students": 1,
            "/assignments/1/cells": 1,
            "/students/1/timeline": 251,
            "/students/1/accesses": 1,
            "/students/1/sessions": 1,
            "/students/1/submissions": 1,
        }
        for path, count in paths.items():
            assert client.get(path).status_code == 200, path
            assert len(read(client.get(path, params={"format": "csv"}))) == count, path
            unknown = path.replace("/1", "/99", 1)
            for kind in ("json", "csv"):
                answer = client.get(unknown, params={"format": kind})
                assert (answer.status_code, list(answer.json())) == (404, ["detail"]), unknown
            assert client.get(path, params={"format": "xml"}).status_code == 422
        (cell,) = read(client.get("/assignments/1/cells?format=csv"))
        assert cell["frequent_errors"] == "'=E: … (1: 花子)"
        assert client.get("/students/1/timeline?cursor=x").status_code == 422
        page = client.get("/students/1/timeline?limit=200").json()
        rest = client.get("/students/1/timeline", params={"cursor": page["next"]}).json()
        assert (len(page["items"]), len(rest["items"]), rest["next"]) == (200, 51, None)
