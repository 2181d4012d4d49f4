"""Two teachers, three classes and a shared student: every view and export, by class."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.lms import create, create_class, unique
from tests.support.replicas import Replica
from tests.support.tokens import client, token

CLASS_VIEWS = (
    "/classes/{class_id}/now",
    "/classes/{class_id}/now?at={at}",
    "/classes/{class_id}/errors",
    "/classes/{class_id}/help",
    "/classes/{class_id}/activity",
    "/classes/{class_id}/notebooks/{notebook_id}/cells",
    "/classes/{class_id}/notebooks/{notebook_id}/students",
    "/classes/{class_id}/notebooks/{notebook_id}/copies",
    "/classes/{class_id}/notebooks/{notebook_id}/attempts?place=id:{cell_id}",
    "/assignments/{assignment_id}/cells",
    "/assignments/{assignment_id}/analysis",
)
STUDENT_VIEWS = (
    "/students/{student_id}/timeline",
    "/students/{student_id}/accesses",
    "/students/{student_id}/submissions",
)


def soon() -> str:
    """A moment by which everything has happened, as replays take it."""
    return f"{datetime.now(UTC) + timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"


class Room(NamedTuple):
    """A class with its teacher; each text of its events contains its `mark`."""

    api: httpx.AsyncClient
    mark: str
    class_id: int
    ids: dict[str, Any]

    async def views(self) -> dict[str, str]:
        """The answers to all that can be asked about the class, also as CSV, by path."""
        answers = {}
        for template in CLASS_VIEWS:
            path = template.format(class_id=self.class_id, at=soon(), **self.ids)
            answers[path] = await text_of(self.api, path)
            if not path.endswith("/help"):
                answers[f"{path} as CSV"] = await text_of(self.api, path, format="csv")
        return answers


async def text_of(api: httpx.AsyncClient, path: str, **query: str) -> str:
    answer = await api.get(path, params=httpx.URL(path).params.merge(query))
    assert answer.status_code == 200, (path, answer.text)
    return answer.text


class School(NamedTuple):
    """One teacher has the rooms `one` and `two`, the other `three`; all have the student."""

    url: str
    rooms: dict[str, Room]
    user: str
    student: httpx.AsyncClient
    student_id: int

    def of(self, *names: str) -> set[str]:
        return {self.rooms[name].mark for name in names}

    def marks_in(self, text: str) -> set[str]:
        return {room.mark for room in self.rooms.values() if room.mark in text}


async def fill(replica: Replica, api: httpx.AsyncClient, mark: str, user: str) -> Room:
    """Makes a class in which the student failed once with `mark`, and then as often again."""
    class_id = (await create_class(api, name=f"class {mark}"))["id"]
    key = (await create(api, "/ingest-keys", name="x", class_id=class_id))["key"]
    place = {
        "userId": user,
        "userName": f"name {mark}",
        "teamName": f"team {mark}",
        "notebookPath": f"{mark}.ipynb",
        "cellId": f"cell-{mark}",
        "sessionId": "session",
    }
    failed = {"hasError": True, "errorMessage": f"Error{mark}: x", "code": f"run({mark})"}
    events = [
        place | {"eventType": "notebook_open", "cellId": None},
        *(place | failed | {"eventType": "cell_executed"} for _ in range(len(mark))),
        place | {"eventType": "help"},
    ]
    async with client(replica.url, None) as anyone:
        answer = await anyone.post("/events", json=events, params={"key": key})
    assert answer.json()["stored"] == len(events), answer.text
    (notebook,) = (await api.get("/notebooks", params={"path": f"{mark}.ipynb"})).json()
    task = {"class_id": class_id, "notebook_id": notebook["id"], "title": f"task {mark}"}
    assignment = await create(api, "/assignments", **task)
    await create(api, "/submissions", assignment_id=assignment["id"], user_id=user, feedback=mark)
    ids = {
        "notebook_id": notebook["id"],
        "assignment_id": assignment["id"],
        "cell_id": f"cell-{mark}",
    }
    return Room(api, mark, class_id, ids)


@pytest.fixture
async def school(guarded_school: Replica) -> AsyncIterator[School]:
    url, user = guarded_school.url, unique("pupil")
    async with (
        client(url, token(unique("teacher"), "instructor")) as first,
        client(url, token(unique("teacher"), "instructor")) as second,
        client(url, token(user, "student")) as student,
    ):
        rooms: dict[str, Room] = {}
        for name, api in (("one", first), ("two", first), ("three", second)):
            mark = "qzx"[: len(rooms) + 1] + unique("")[1:]
            rooms[name] = await fill(guarded_school, api, mark, user)
        (themselves,) = (await student.get("/students")).json()
        yield School(url, rooms, user, student, themselves["id"])


async def test_each_view_of_a_class_has_its_own_and_nothing_else(school: School) -> None:
    for room in school.rooms.values():
        for path, text in (await room.views()).items():
            seen = school.marks_in(text)
            assert seen == (set() if "/activity" in path else {room.mark}), path


async def test_counters_are_those_of_the_class(school: School) -> None:
    for room in school.rooms.values():
        count = len(room.mark)
        path = f"/classes/{room.class_id}"
        for query in ("", f"?at={soon()}"):
            (state,) = json.loads(await text_of(room.api, f"{path}/now{query}"))
            counts = [state[name] for name in ("executions", "errors", "errors_in_a_row")]
            assert counts == [count] * 3
        intervals = json.loads(await text_of(room.api, f"{path}/activity"))
        assert sum(each["errors"] for each in intervals) == count
        assert sum(each["helps"] for each in intervals) == 1
        (group,) = json.loads(await text_of(room.api, f"{path}/errors"))["groups"]
        assert group["count"] == count


async def test_nobody_asks_about_a_class_of_somebody_else(school: School) -> None:
    stranger = school.rooms["three"].api
    for room in (school.rooms["one"], school.rooms["two"]):
        for template in CLASS_VIEWS:
            path = template.format(class_id=room.class_id, at=soon(), **room.ids)
            assert (await stranger.get(path)).status_code == 403, path
            assert (await school.student.get(path)).status_code == 403, path
    own, other = school.rooms["one"], school.rooms["two"]
    for view in ("cells", "students", f"attempts?place=id:{own.ids['cell_id']}"):
        path = f"/classes/{own.class_id}/notebooks/{other.ids['notebook_id']}/{view}"
        assert (await own.api.get(path)).status_code == 404


async def test_a_teacher_sees_of_a_student_what_was_done_in_their_classes(
    school: School,
) -> None:
    one, three = school.rooms["one"], school.rooms["three"]
    readers = (
        (one.api, school.of("one", "two")),
        (three.api, school.of("three")),
        (school.student, school.of("one", "two", "three")),
    )
    for api, expected in readers:
        for template in STUDENT_VIEWS:
            path = template.format(student_id=school.student_id)
            for query in ({}, {"format": "csv"}, {"limit": "500"}):
                assert school.marks_in(await text_of(api, path, **query)) == expected, path
        runs = json.loads(await text_of(api, f"/students/{school.student_id}/changes"))
        assert len(runs) == sum(map(len, expected))
    for room in (one, three):
        path = f"/students/{school.student_id}/sessions"
        assert (await room.api.get(path)).status_code == 403
    timeline = json.loads(await text_of(one.api, f"/students/{school.student_id}/timeline"))
    assert {each["class_id"] for each in timeline["items"]} == {
        one.class_id,
        school.rooms["two"].class_id,
    }


async def test_a_teacher_who_studies_elsewhere_sees_all_of_their_own(school: School) -> None:
    three = school.rooms["three"].api
    other = (await create_class(three))["id"]
    await create(three, f"/classes/{other}/students", user_id=school.user, role="assistant")
    async with client(school.url, token(school.user, "instructor")) as api:
        for template in STUDENT_VIEWS:
            path = template.format(student_id=school.student_id)
            assert school.marks_in(await text_of(api, path)) == school.of("one", "two", "three")


async def test_a_teachers_classes_at_a_glance(school: School) -> None:
    for teacher, names in (("one", ("one", "two")), ("three", ("three",))):
        answer = await school.rooms[teacher].api.get("/overview")
        rows: list[dict[str, Any]] = answer.json()
        assert answer.headers["X-Total-Count"] == str(len(names))
        assert {row["class_id"] for row in rows} == {school.rooms[n].class_id for n in names}
        assert {(row["students"], row["active"], row["calls"]) for row in rows} == {(1, 1, 1)}
    assert (await school.student.get("/overview")).status_code == 403


async def test_a_call_is_settled_by_its_class(school: School) -> None:
    one, three = school.rooms["one"], school.rooms["three"]
    path = f"/classes/{one.class_id}/help/{school.student_id}/resolve"
    assert (await three.api.post(path, json={"name": "Suzuki"})).status_code == 403
    assert (await one.api.post(path, json={"name": "Sato"})).status_code == 200
    for name, count in (("one", 0), ("two", 1), ("three", 1)):
        room = school.rooms[name]
        calls = json.loads(await text_of(room.api, f"/classes/{room.class_id}/help"))
        assert len(calls) == count
