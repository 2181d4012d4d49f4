"""Answers as CSV: for spreadsheets, in Japan too, and running nothing."""

import csv
import io

import httpx

from tests.support.factories import now
from tests.support.replicas import Replica


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
