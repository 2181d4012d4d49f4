"""Classes, assignments, students and notebooks: what each of the five calls answers."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.lms import (
    create,
    create_assignment,
    create_class,
    create_student,
    error_location,
    unique,
)

ALL = ["classes", "assignments", "students", "notebooks", "submissions"]
NUL = "\0"


async def test_a_class_is_made_found_changed_and_deleted(api: httpx.AsyncClient) -> None:
    code = unique()
    created = await create(api, "/classes", name="数学", class_code=code)
    assert created["description"] is None
    assert created["is_active"] is True
    assert (created["join_policy"], created["max_new_names"]) == ("open", 500)
    assert created["learner_word"] == "student"
    assert set(created) == {
        "id", "name", "class_code", "description", "is_active", "is_demo", "join_policy",
        "max_new_names", "stuck_errors", "stuck_minutes", "learner_word",
        "created_at", "updated_at",
    }  # fmt: skip
    path = f"/classes/{created['id']}"
    assert (await api.get(path)).json() == created
    changed = (await api.put(path, json={"description": "週1", "is_active": False})).json()
    assert changed["updated_at"] > created["updated_at"]
    assert changed | {"updated_at": 0} == created | {
        "description": "週1", "is_active": False, "updated_at": 0
    }  # fmt: skip
    assert (await api.put(path, json={"description": None})).json()["description"] is None
    assert (await api.put(path, json={})).json()["name"] == "数学"
    last = (await api.get(path)).json()
    deleted = await api.delete(path)
    assert (deleted.status_code, deleted.json()) == (200, last)
    assert (await api.get(path)).status_code == 404


async def test_an_assignment_is_made_found_changed_and_deleted(api: httpx.AsyncClient) -> None:
    created = await create_assignment(api, due_date="2026-12-01T09:00:00", points=100)
    assert created["due_date"] == "2026-12-01T09:00:00Z"
    assert created["points"] == 100
    path = f"/assignments/{created['id']}"
    assert (await api.get(path)).json() == created
    zoned = {"due_date": "2026-12-01T09:00:00+09:00", "points": None}
    changed = (await api.put(path, json=zoned)).json()
    assert changed["due_date"] == "2026-12-01T00:00:00Z"
    assert changed["points"] is None
    assert changed["title"] == created["title"]
    assert (await api.delete(path)).json() == changed
    assert (await api.delete(path)).status_code == 404


async def test_a_student_keeps_the_user_id(api: httpx.AsyncClient) -> None:
    created = await create_student(api, name="花子", team="チームA")
    path = f"/students/{created['id']}"
    same = {"user_id": created["user_id"], "name": None, "email": "h@example.com"}
    changed = (await api.put(path, json=same)).json()
    assert changed == created | {"name": None, "email": "h@example.com"}
    assert error_location(await api.put(path, json={"user_id": "another"})) == ["body", "user_id"]
    assert (await api.delete(path)).json() == changed


async def test_a_notebook_keeps_the_path(api: httpx.AsyncClient) -> None:
    created = await create(api, "/notebooks", path=f"{unique()}/第1回.ipynb")
    assert created["name"] == "第1回.ipynb"
    path = f"/notebooks/{created['id']}"
    changed = (await api.put(path, json={"name": "はじめに", "path": created["path"]})).json()
    assert changed == created | {"name": "はじめに"}
    assert error_location(await api.put(path, json={"path": "other.ipynb"})) == ["body", "path"]
    assert (await api.delete(path)).json() == changed


@pytest.mark.parametrize("resource", ALL)
@pytest.mark.parametrize("row_id", ["0", "-1", "999999999", str(2**63 - 1)])
async def test_an_unknown_id_is_not_found(
    api: httpx.AsyncClient, resource: str, row_id: str
) -> None:
    path = f"/{resource}/{row_id}"
    for answer in (await api.get(path), await api.put(path, json={}), await api.delete(path)):
        assert answer.status_code == 404
        assert row_id in answer.json()["detail"]


@pytest.mark.parametrize("resource", ALL)
async def test_what_is_no_id_is_invalid(api: httpx.AsyncClient, resource: str) -> None:
    for row_id in ("x", "1.5", str(2**63), "9" * 400, "%00"):
        where = error_location(await api.get(f"/{resource}/{row_id}"))
        assert where[0] == "path"


@pytest.mark.parametrize(
    ("resource", "body", "field"),
    [
        ("classes", {"name": "x"}, "class_code"),
        ("classes", {"name": "", "class_code": "x"}, "name"),
        ("classes", {"name": 1, "class_code": "x"}, "name"),
        ("classes", {"name": "x", "class_code": "y" * 513}, "class_code"),
        ("classes", {"name": "x", "class_code": "y", "is_active": None}, "is_active"),
        ("classes", {"name": "x", "class_code": "y", "join_policy": "closed"}, "join_policy"),
        ("classes", {"name": "x", "class_code": "y", "max_new_names": -1}, "max_new_names"),
        ("classes", {"name": "x", "class_code": "y", "learner_word": "生徒"}, "learner_word"),
        ("assignments", {"class_id": 1, "notebook_id": 1}, "title"),
        ("assignments", {"class_id": "1", "notebook_id": 1, "title": "x"}, "class_id"),
        ("assignments", {"class_id": 2**63, "notebook_id": 1, "title": "x"}, "class_id"),
        ("students", {"name": "x"}, "user_id"),
        ("notebooks", {"name": "x"}, "path"),
        ("notebooks", {"path": "x", "class_id": 999_999_999}, "class_id"),
        ("submissions", {"student_id": 1}, "assignment_id"),
    ],
)
async def test_a_field_that_is_missing_or_wrong_is_named(
    api: httpx.AsyncClient, resource: str, body: dict[str, Any], field: str
) -> None:
    assert error_location(await api.post(f"/{resource}", json=body)) == ["body", field]


@pytest.mark.parametrize(
    "field", ["name", "class_code", "is_active", "join_policy", "learner_word"]
)
async def test_null_is_refused_where_there_must_be_a_value(
    api: httpx.AsyncClient, field: str
) -> None:
    created = await create_class(api)
    answer = await api.put(f"/classes/{created['id']}", json={field: None})
    assert error_location(answer) == ["body", field]
    assert (await api.get(f"/classes/{created['id']}")).json() == created


@pytest.mark.parametrize("field", ["class_id", "notebook_id"])
async def test_a_reference_to_nothing_is_named(api: httpx.AsyncClient, field: str) -> None:
    created = await create_assignment(api)
    unknown = {field: 999_999_999}
    changed = await api.put(f"/assignments/{created['id']}", json=unknown)
    assert error_location(changed) == ["body", field]
    again = {name: created[name] for name in ("class_id", "notebook_id", "title")} | unknown
    assert error_location(await api.post("/assignments", json=again)) == ["body", field]


async def test_a_code_in_use_is_refused(api: httpx.AsyncClient) -> None:
    one, other = await create_class(api), await create_class(api)
    code = {"class_code": one["class_code"]}
    again = await api.post("/classes", json={"name": "x", **code})
    changed = await api.put(f"/classes/{other['id']}", json=code)
    for answer in (again, changed):
        assert answer.status_code == 400
        assert "class_code" in answer.json()["detail"]
    student = await create_student(api)
    assert (await api.post("/students", json={"user_id": student["user_id"]})).status_code == 400


async def test_of_many_who_make_the_same_class_at_once_one_succeeds(
    api: httpx.AsyncClient,
) -> None:
    body = {"name": "x", "class_code": unique()}
    answers = await asyncio.gather(*(api.post("/classes", json=body) for _ in range(8)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [201] + [400] * 7


async def test_a_list_is_ordered_bounded_and_counted(api: httpx.AsyncClient) -> None:
    class_id = (await create_class(api))["id"]
    notebook_id = (await create(api, "/notebooks", path=unique()))["id"]
    created = [
        await create_assignment(api, class_id=class_id, notebook_id=notebook_id) for _ in range(3)
    ]
    query = {"class_id": class_id}
    answer = await api.get("/assignments", params=query)
    assert answer.json() == created
    assert answer.headers["X-Total-Count"] == "3"
    page = await api.get("/assignments/", params=query | {"skip": 1, "limit": 1})
    assert page.json() == created[1:2]
    assert page.headers["X-Total-Count"] == "3"
    beyond = await api.get("/assignments", params=query | {"skip": 2**63 - 1})
    assert (beyond.json(), beyond.headers["X-Total-Count"]) == ([], "3")
    assert (await api.get("/assignments", params={"class_id": 2**62})).json() == []
    assert error_location(await api.get("/assignments?limit=501")) == ["query", "limit"]
    assert error_location(await api.get("/assignments?class_id=null")) == ["query", "class_id"]


async def test_lists_are_filtered_by_names(api: httpx.AsyncClient) -> None:
    for resource, field, created in (
        ("classes", "class_code", await create_class(api)),
        ("students", "user_id", await create_student(api)),
        ("notebooks", "path", await create(api, "/notebooks", path=unique())),
    ):
        answer = await api.get(f"/{resource}", params={field: created[field]})
        assert answer.json() == [created]
        assert (await api.get(f"/{resource}?{field}=%00")).json() == []


async def test_the_total_is_shown(api: httpx.AsyncClient) -> None:
    created = await create_class(api)
    answer = await api.get("/classes", params={"class_code": created["class_code"]})
    assert answer.headers["X-Total-Count"] == "1"


async def test_what_stands_in_the_way_of_a_delete_is_named(api: httpx.AsyncClient) -> None:
    assignment, student = await create_assignment(api), await create_student(api)
    submission = await create(
        api, "/submissions", assignment_id=assignment["id"], student_id=student["id"]
    )
    for path, what in (
        (f"/classes/{assignment['class_id']}", "assignments"),
        (f"/notebooks/{assignment['notebook_id']}", "assignments"),
        (f"/assignments/{assignment['id']}", "submissions"),
        (f"/students/{student['id']}", "submissions"),
    ):
        refused = await api.delete(path)
        assert refused.status_code == 409
        assert what in refused.json()["detail"]
    for path in (
        f"/submissions/{submission['id']}",
        f"/assignments/{assignment['id']}",
        f"/notebooks/{assignment['notebook_id']}",
        f"/classes/{assignment['class_id']}",
        f"/students/{student['id']}",
    ):
        assert (await api.delete(path)).status_code == 200


async def test_what_events_have_named_stays(api: httpx.AsyncClient) -> None:
    user_id, path = unique(), unique()
    event = {"eventType": "cell_executed", "userId": user_id, "notebookPath": path}
    assert (await api.post("/events", json=[event])).json()["stored"] == 1
    (student,) = (await api.get("/students", params={"user_id": user_id})).json()
    (notebook,) = (await api.get("/notebooks", params={"path": path})).json()
    for resource in (f"/students/{student['id']}", f"/notebooks/{notebook['id']}"):
        refused = await api.delete(resource)
        assert refused.status_code == 409
        assert "events" in refused.json()["detail"]


async def test_events_do_not_change_a_students_record(api: httpx.AsyncClient) -> None:
    created = await create_student(api, name="花子")
    event = {"eventType": "help", "userId": created["user_id"], "userName": "x", "teamName": "y"}
    assert (await api.post("/events", json=[event])).json()["stored"] == 1
    assert (await api.get(f"/students/{created['id']}")).json() == created


async def test_text_that_postgresql_cannot_hold_is_mended(api: httpx.AsyncClient) -> None:
    created = await create_class(api, name=f"a{NUL}b", class_code=unique() + NUL)
    assert created["name"] == "a\ufffdb"
    body = b'{"name": "\\ud800", "class_code": "%s"}' % unique().encode()
    headers = {"Content-Type": "application/json"}
    answer = await api.post("/classes", content=body, headers=headers)
    assert answer.json()["name"] == "\ufffd"


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
async def test_times_at_either_end_of_the_calendar_are_kept(
    api: httpx.AsyncClient, time: str
) -> None:
    created = await create_assignment(api, due_date=time)
    assert created["due_date"][:4] == time[:4]


NO_TIMES = [
    "99999-01-01T00:00:00Z",
    "tomorrow",
    5,
    "2026-02-30T00:00:00Z",
    "0001-01-01T00:00:00+14:00",  # in UTC before the first year
    "9999-12-31T23:59:59-14:00",
]


@pytest.mark.parametrize("time", NO_TIMES)
async def test_what_is_no_time_is_refused(api: httpx.AsyncClient, time: Any) -> None:
    created = await create_assignment(api)
    answer = await api.put(f"/assignments/{created['id']}", json={"due_date": time})
    assert error_location(answer) == ["body", "due_date"]
