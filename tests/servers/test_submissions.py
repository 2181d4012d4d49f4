"""Submissions: contents stay as sent, attempts are counted, grades are published."""

import asyncio
import codecs
import gzip
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from monitor.http.body import LARGE_BODY
from monitor.lms import submissions
from monitor.lms.submissions import AssignmentSubmissionUpdate
from tests.support.lms import create, create_assignment, create_student, error_location
from tests.support.replicas import Listener, Replica

JSON = {"Content-Type": "application/json"}
NOTEBOOK: dict[str, Any] = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
CELL: dict[str, Any] = {
    "cell_type": "code",
    "id": "a",
    "metadata": {},
    "outputs": [],
    "source": "",
    "execution_count": None,
}

# What is as large as this is read by a worker.
SIZES = pytest.mark.parametrize("padding", [b"", b" " * LARGE_BODY], ids=["small", "large"])

# Spaces, escapes of all kinds, and numbers that no parser gives back as they were.
VERBATIM = (
    rb'{ "nbformat":4,"nbformat_minor": 5, "metadata": {"a": 1.0e2, "z": 12345678901234567890.1},'
    b"\r\n"
    rb' "cells": [{"id": "b", "cell_type": "markdown", "metadata": {},'
    b' "source": ["\xe8\x8a\xb1 '
    rb'\u82b1 \u0000 \ud800 \\u0000 \ud83d\ude00"]}]  }'
)


async def submit(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    if "assignment_id" not in fields:
        fields["assignment_id"] = (await create_assignment(api))["id"]
    if not fields.keys() & {"student_id", "user_id"}:
        fields["student_id"] = (await create_student(api))["id"]
    return await create(api, "/submissions", **fields)


async def test_a_submission_says_all_about_itself(api: httpx.AsyncClient) -> None:
    assignment, student = await create_assignment(api), await create_student(api)
    before = datetime.now(UTC)
    submission = await submit(
        api,
        assignment_id=assignment["id"],
        user_id=student["user_id"],
        notebook_content=NOTEBOOK,
        submitted_at="2001-01-01T00:00:00Z",
    )
    assert before < datetime.fromisoformat(submission["submitted_at"]) < datetime.now(UTC)
    assert submission == {
        "id": submission["id"],
        "assignment_id": assignment["id"],
        "student_id": student["id"],
        "user_id": student["user_id"],
        "attempt": 1,
        "status": "submitted",
        "grade": None,
        "feedback": None,
        "sha256": submission["sha256"],
        "irregularities": [],
        "submitted_at": submission["submitted_at"],
        "late": False,
        "graded_at": None,
        "notebook_content": NOTEBOOK,
    }
    assert (await api.get(f"/submissions/{submission['id']}")).json() == submission
    assert (await api.delete(f"/submissions/{submission['id']}")).json() == submission
    assert (await api.get(f"/submissions/{submission['id']}")).status_code == 404


@SIZES
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_the_content_stays_byte_for_byte(
    api: httpx.AsyncClient, encoding: str, padding: bytes
) -> None:
    assignment_id, student_id = (
        (await create_assignment(api))["id"],
        (await create_student(api))["id"],
    )
    body = b'{"notebook_content":%s,"feedback": "\\u0000", "assignment_id":%d,"student_id":%d}' % (
        VERBATIM, assignment_id, student_id
    )  # fmt: skip
    headers = JSON | {"Content-Encoding": encoding}
    body = padding + body
    sent = gzip.compress(body) if encoding == "gzip" else body
    answer = await api.post("/submissions", content=sent, headers=headers)
    assert answer.status_code == 201, answer.text
    assert b'"notebook_content":' + VERBATIM in answer.content
    assert json.loads(answer.content)["sha256"] == hashlib.sha256(VERBATIM).hexdigest()
    assert json.loads(answer.content)["feedback"] == "\ufffd"
    path = f"/submissions/{json.loads(answer.content)['id']}"
    assert b'"notebook_content":' + VERBATIM in (await api.get(path)).content
    assert VERBATIM in (await api.put(path, json={"grade": 1})).content


@SIZES
async def test_nan_and_a_byte_order_mark_are_taken(api: httpx.AsyncClient, padding: bytes) -> None:
    start, end = rb'{"cells":[],"nbformat":4,"nbformat_minor":5,"metadata":{"a":[', rb"]}}"
    values = rb'NaN,-Infinity , 1,"NaN \" ,NaN, \ud800\u0000 \ud83d\ude00 \\",Infinity'
    sent = start + values + end
    assignment_id = (await create_assignment(api))["id"]
    student_id, mark = (await create_student(api))["id"], codecs.BOM_UTF8
    body = b'%s{"assignment_id":%d,"student_id":%d,%s"notebook_content": %s%s}' % (
        mark, assignment_id, student_id, padding, mark, sent
    )  # fmt: skip
    answer = await api.post("/submissions", content=body, headers=JSON)
    assert answer.status_code == 201, answer.text
    submission = answer.json()
    assert submission["sha256"] == hashlib.sha256(sent).hexdigest()
    assert submission["notebook_content"]["metadata"]["a"][:3] == [None, None, 1]
    shown = sent.replace(b"[NaN,-Infinity", b"[null,null").replace(b",Infinity]", b",null]")
    assert b'"notebook_content":' + shown in answer.content
    assert "Has NaN or Infinity" in submission["irregularities"][0]["finding"]
    path = f"/submissions/{submission['id']}"
    assert (await api.get(path)).json() == submission
    assert (await api.get(path + "/markdown")).json() == []


async def test_a_grade_is_a_number(api: httpx.AsyncClient) -> None:
    path = f"/submissions/{(await submit(api, grade=5))['id']}"
    answer = await api.put(path, content=b'{"grade":NaN}', headers=JSON)
    assert error_location(answer) == ["body", "grade"]
    assert (await api.get(path)).json()["grade"] == 5


async def test_a_large_notebook_is_taken_and_lists_leave_it_out(api: httpx.AsyncClient) -> None:
    cells = [CELL | {"id": f"c{index}", "source": "x" * 1000} for index in range(3000)]
    submission = await submit(api, notebook_content=NOTEBOOK | {"cells": cells})
    assert len(submission["notebook_content"]["cells"]) == 3000
    listed = await api.get("/submissions", params={"assignment_id": submission["assignment_id"]})
    assert len(listed.content) < 1000
    del submission["notebook_content"]
    assert listed.json() == [submission]
    too_large = {"assignment_id": 1, "notebook_content": NOTEBOOK | {"x": "x" * 17_000_000}}
    assert (await api.post("/submissions", json=too_large)).status_code == 413


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        "text",
        5,
        {"cells": []},
        NOTEBOOK | {"nbformat": 1},
        NOTEBOOK | {"nbformat": 3},
        NOTEBOOK | {"nbformat": 5},
        NOTEBOOK | {"nbformat": "os"},
        NOTEBOOK | {"cells": {}},
        NOTEBOOK | {"cells": ["x = 1"]},
        NOTEBOOK | {"cells": [CELL | {"outputs": ["1"]}]},
    ],
)
@SIZES
async def test_what_is_no_notebook_is_refused(
    api: httpx.AsyncClient, content: Any, padding: bytes
) -> None:
    body = {"assignment_id": 1, "student_id": 1, "notebook_content": content}
    sent = padding + json.dumps(body).encode()
    answer = await api.post("/submissions", content=sent, headers=JSON)
    assert error_location(answer) == ["body", "notebook_content"]


@SIZES
@pytest.mark.parametrize("depth", [900, 1500, 200_000])
async def test_deep_nesting_is_refused_or_stored(
    api: httpx.AsyncClient, depth: int, padding: bytes
) -> None:
    assignment_id, student_id = (
        (await create_assignment(api))["id"],
        (await create_student(api))["id"],
    )
    deep = b'{"cells":[],"nbformat":4,"nbformat_minor":5,"metadata":{"a":%s%s}}' % (
        b"[" * depth, b"]" * depth
    )  # fmt: skip
    body = b'{"assignment_id":%d,"student_id":%d,"notebook_content":%s}'
    content = body % (assignment_id, student_id, deep)
    answer = await api.post("/submissions", content=padding + content, headers=JSON)
    assert answer.status_code == (201 if depth == 900 else 422)


@SIZES
@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"assignment_id":1,"student_id":1,"notebook_content":{"cells":["\xff"]}}', []),
        (b'{"assignment_id":1,"student_id":1,"notebook_content":{"cells":[1]', []),
        (b'{"assignment_id":1,"student_id":1,"notebook_content":{}} 1', []),
        (b'{"assignment_id":"1","student_id":1,"notebook_content":{}}', ["assignment_id"]),
        (b'{"student_id":1,"notebook_content":{}}', ["assignment_id"]),
        (b'["notebook_content"]', []),
    ],
)
async def test_a_body_that_is_not_valid_is_refused(
    api: httpx.AsyncClient, body: bytes, where: list[str], padding: bytes
) -> None:
    answer = await api.post("/submissions", content=padding + body, headers=JSON)
    assert error_location(answer) == ["body", *where]


@SIZES
async def test_utf16_is_taken(api: httpx.AsyncClient, padding: bytes) -> None:
    notebook = json.dumps(NOTEBOOK | {"metadata": {"a": "花"}}, ensure_ascii=False)
    assignment, student = await create_assignment(api), await create_student(api)
    ids = f'"assignment_id":{assignment["id"]},"student_id":{student["id"]}'
    body = f'{{{ids},"notebook_content":{notebook}}}'
    sent = (padding.decode() + body).encode("utf-16")
    answer = await api.post("/submissions", content=sent, headers=JSON)
    assert answer.status_code == 201, answer.text
    assert answer.json()["sha256"] == hashlib.sha256(notebook.encode()).hexdigest()


async def test_an_irregular_notebook_is_taken_and_what_is_odd_is_shown(
    api: httpx.AsyncClient,
) -> None:
    content = NOTEBOOK | {"cells": [CELL, CELL | {"attachments": {}}], "metadata": None}
    submission = await submit(api, notebook_content=content)
    assert submission["notebook_content"] == content
    odd = [
        {"cell": None, "finding": "The metadata isn't an object"},
        {"cell": 1, "finding": "Has the id of a cell before"},
        {"cell": 1, "finding": "A code cell has attachments"},
    ]
    assert submission["irregularities"] == odd
    graded = await api.put(f"/submissions/{submission['id']}", json={"grade": 1})
    assert graded.json()["irregularities"] == odd
    listed = await api.get("/submissions", params={"student_id": submission["student_id"]})
    assert listed.json()[0]["irregularities"] == odd
    path = f"/students/{submission['student_id']}/submissions"
    assert (await api.get(path)).json()["items"][0]["irregularities"] == odd


async def test_a_refusal_says_what_to_do(api: httpx.AsyncClient) -> None:
    newer = NOTEBOOK | {"nbformat": 5}
    answer = await api.post(
        "/submissions", json={"assignment_id": 1, "student_id": 1, "notebook_content": newer}
    )
    assert answer.json()["detail"][0]["msg"] == (
        "The notebook is in format 5, which is too new: save it in format 4, and hand it in again"
    )


async def test_handing_in_nothing_leaves_the_content_null(api: httpx.AsyncClient) -> None:
    for fields in ({}, {"notebook_content": None}):
        submission = await submit(api, **fields)
        assert (submission["notebook_content"], submission["sha256"]) == (None, None)


async def test_attempts_are_counted_whoever_hands_in_at_once(api: httpx.AsyncClient) -> None:
    assignment_id = (await create_assignment(api))["id"]
    students = [(await create_student(api))["id"] for _ in range(2)]
    bodies = [
        {"assignment_id": assignment_id, "student_id": student_id}
        for student_id in students
        for _ in range(10)
    ]
    submissions = await asyncio.gather(*(submit(api, **body) for body in bodies))
    for student_id in students:
        own = [each for each in submissions if each["student_id"] == student_id]
        assert sorted(each["attempt"] for each in own) == list(range(1, 11))
        own.sort(key=lambda each: each["submitted_at"])
        assert [each["attempt"] for each in own] == list(range(1, 11))


@pytest.mark.parametrize(("hours", "late"), [(-1, True), (1, False)])
async def test_late_is_by_the_servers_clock(api: httpx.AsyncClient, hours: int, late: bool) -> None:
    due = (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
    assignment = await create_assignment(api, due_date=due)
    claimed = {"submitted_at": "2001-01-01T00:00:00Z"}
    submission = await submit(api, assignment_id=assignment["id"], **claimed)
    assert submission["late"] is late
    await api.put(f"/assignments/{assignment['id']}", json={"due_date": None})
    assert (await api.get(f"/submissions/{submission['id']}")).json()["late"] is late


async def test_submissions_are_filtered(api: httpx.AsyncClient) -> None:
    submission = await submit(api)
    await submit(api, assignment_id=submission["assignment_id"])
    for name in ("student_id", "user_id"):
        answer = await api.get("/submissions", params={name: submission[name]})
        assert [each["id"] for each in answer.json()] == [submission["id"]]
        assert answer.headers["X-Total-Count"] == "1"
    both = await api.get("/submissions", params={"assignment_id": submission["assignment_id"]})
    assert both.headers["X-Total-Count"] == "2"


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"assignment_id": 999_999_999}, "assignment_id"),
        ({"student_id": 999_999_999}, "student_id"),
        ({"user_id": "nobody at all"}, "user_id"),
    ],
)
async def test_a_reference_to_nothing_is_named(
    api: httpx.AsyncClient, fields: dict[str, Any], name: str
) -> None:
    usual = {"assignment_id": (await create_assignment(api))["id"]}
    if not fields.keys() & {"student_id", "user_id"}:
        usual["student_id"] = (await create_student(api))["id"]
    answer = await api.post("/submissions", json=usual | fields)
    assert error_location(answer) == ["body", name]


async def test_a_student_is_named_and_by_one_name(api: httpx.AsyncClient) -> None:
    assert error_location(await api.post("/submissions", json={"assignment_id": 1})) == ["body"]
    one, other = await create_student(api), await create_student(api)
    body = {"assignment_id": (await create_assignment(api))["id"], "student_id": one["id"]}
    mismatch = await api.post("/submissions", json=body | {"user_id": other["user_id"]})
    assert error_location(mismatch) == ["body", "user_id"]
    await submit(api, **body, user_id=one["user_id"])


async def test_what_was_handed_in_never_changes(api: httpx.AsyncClient) -> None:
    submission = await submit(api, notebook_content=NOTEBOOK)
    path = f"/submissions/{submission['id']}"
    changed = await api.put(path, json={"notebook_content": NOTEBOOK, "grade": 5})
    assert error_location(changed) == ["body", "notebook_content"]
    assert error_location(await api.put(path, json={"student_id": 999})) == ["body", "student_id"]
    assert error_location(await api.put(path, json={"status": None})) == ["body", "status"]
    assert (await api.get(path)).json() == submission
    same = {name: submission[name] for name in ("assignment_id", "student_id", "user_id", "status")}
    assert (await api.put(path, json=same)).json() == submission


async def graded(listener: Listener) -> dict[str, Any]:
    message = await listener.next()
    assert message["event"] == "assignment_graded"
    return message


async def test_a_grade_is_told_once_for_each_change(
    api: httpx.AsyncClient, school: Replica
) -> None:
    assignment = await create_assignment(api, points=100)
    student = await create_student(api, user_id="*,花子%")
    submission = await submit(api, assignment_id=assignment["id"], student_id=student["id"])
    path = f"/submissions/{submission['id']}"
    channel = "notifications:%2A%2C花子%25"
    async with school.listen("?channels=nothing") as student_socket:
        await student_socket.send(action="subscribe", channels=[channel])
        answer = await api.put(path, json={"grade": 90, "feedback": "よくできました"})
        assert answer.json() == submission | {
            "grade": 90,
            "feedback": "よくできました",
            "graded_at": answer.json()["graded_at"],
        }
        message = await graded(student_socket)
        assert message["channel"] == channel
        assert message["data"] == {
            "submissionId": submission["id"],
            "assignmentId": assignment["id"],
            "classId": assignment["class_id"],
            "userId": "*,花子%",
            "title": assignment["title"],
            "attempt": 1,
            "grade": 90,
            "points": 100,
            "feedback": "よくできました",
            "gradedAt": answer.json()["graded_at"],
        }
        for body in ({"grade": 90}, {"status": "returned"}, {"feedback": "x"}, {"grade": None}):
            assert (await api.put(path, json=body)).status_code == 200
        assert (await api.get(path)).json()["graded_at"] is None
        await asyncio.gather(*(api.put(path, json={"grade": 80}) for _ in range(8)))
        assert (await graded(student_socket))["data"]["grade"] == 80
        await submit(api, assignment_id=assignment["id"], student_id=student["id"], grade=0)
        assert (await student_socket.next())["event"] == "assignment_submitted"
        again = (await graded(student_socket))["data"]
        assert (again["grade"], again["attempt"]) == (0, 2)
        assert await student_socket.silent()


async def test_a_hand_in_is_sent_to_the_teachers_and_the_student(
    api: httpx.AsyncClient, school: Replica
) -> None:
    assignment, student = await create_assignment(api), await create_student(api)
    of_class = f"class:{assignment['class_id']}"
    of_student = f"notifications:{student['user_id']}"
    async with (
        school.listen(f"?channels={of_class}") as teacher,
        school.listen(f"?channels={of_student}") as student_socket,
        school.listen("?channels=class:0,notifications:other") as other,
    ):
        submission = await submit(api, assignment_id=assignment["id"], student_id=student["id"])
        for listener in (teacher, student_socket):
            message = await listener.next()
            assert (message["event"], message["channel"]) == ("assignment_submitted", of_student)
            assert message["data"] == {
                "submissionId": submission["id"],
                "assignmentId": assignment["id"],
                "classId": assignment["class_id"],
                "studentId": student["id"],
                "userId": student["user_id"],
                "title": assignment["title"],
                "attempt": 1,
                "late": False,
                "submittedAt": submission["submitted_at"],
            }
        assert (await api.put(f"/submissions/{submission['id']}", json={"grade": 5})).is_success
        for listener in (teacher, student_socket):
            assert (await graded(listener))["data"]["submissionId"] == submission["id"]
        assert await other.silent()


async def test_a_grade_reads_the_content_once(api: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    submission_id = await pool.fetchval(
        """WITH c AS (
            INSERT INTO classes (class_code, name) VALUES ('c', 'c') RETURNING id
        ), n AS (
            INSERT INTO notebooks (path, name) VALUES ('n', 'n') RETURNING id
        ), a AS (
            INSERT INTO class_assignments (class_id, notebook_id, title)
            SELECT c.id, n.id, 'a' FROM c, n RETURNING id
        ), s AS (
            INSERT INTO students (user_id) VALUES ('s') RETURNING id
        )
        INSERT INTO assignment_submissions
            (assignment_id, student_id, attempt, notebook_content, late)
        SELECT a.id, s.id, 1, '{}', false FROM a, s RETURNING id"""
    )
    queries: list[str] = []
    async with pool.acquire() as connection, connection.transaction():
        with connection.query_logger(lambda record: queries.append(record.query)):
            body = AssignmentSubmissionUpdate(grade=1.0)
            outcome = await submissions.grade(connection, submission_id, body)
    assert outcome.submission.notebook_content
    assert len([each for each in queries if "notebook_content" in each]) == 1


async def test_a_grade_tells_when(api: httpx.AsyncClient) -> None:
    submission = await submit(api)
    path = f"/submissions/{submission['id']}"
    assert (await api.put(path, json={"feedback": "later"})).json()["graded_at"] is None
    first = (await api.put(path, json={"grade": 1})).json()["graded_at"]
    assert first > submission["submitted_at"]
    assert (await api.put(path, json={"grade": 1, "status": "graded"})).json()["graded_at"] == first
    assert (await api.put(path, json={"feedback": "now"})).json()["graded_at"] > first
