"""Two teachers, three classes and a shared student: every view and export, by class."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from monitor.auth.permissions import ROUTES
from tests.support.lms import create, create_class
from tests.support.replicas import Replica
from tests.support.three_classes import Room, School, soon, three_classes
from tests.support.tokens import client, token

# The reads of a teacher that are about one class, with what has to be asked beside the path.
OF_A_CLASS = {
    "/classes/{class_id}": ("",),
    "/classes/{class_id}/now": ("", "?at={at}"),
    "/classes/{class_id}/errors": ("",),
    "/classes/{class_id}/help": ("",),
    "/classes/{class_id}/activity": ("",),
    "/classes/{class_id}/presence": ("",),
    "/classes/{class_id}/duties": ("",),
    "/classes/{class_id}/room": ("",),
    "/classes/{class_id}/students": ("",),
    "/classes/{class_id}/grades": ("",),
    "/classes/{class_id}/invite": ("",),
    "/classes/{class_id}/waiting": ("",),
    "/classes/{class_id}/refusals": ("",),
    "/classes/{class_id}/notification-rules": ("",),
    "/classes/{class_id}/notebooks/{notebook_id}/cells": ("", "?at={at}"),
    "/classes/{class_id}/notebooks/{notebook_id}/students": ("", "?at={at}"),
    "/classes/{class_id}/notebooks/{notebook_id}/copies": ("",),
    "/classes/{class_id}/notebooks/{notebook_id}/attempts": ("?place=id:{cell_id}",),
    "/notebooks/{notebook_id}": ("",),
    "/assignments/{assignment_id}": ("",),
    "/assignments/{assignment_id}/cells": ("",),
    "/assignments/{assignment_id}/analysis": ("",),
    "/assignments/{assignment_id}/grades": ("",),
    "/assignments/{assignment_id}/progress": ("",),
    "/submissions/{submission_id}": ("",),
    "/submissions/{submission_id}/markdown": ("",),
    "/ingest-keys/{key_id}/events": ("?since=2020-01-01T00:00:00Z&until={at}",),
    "/ingest-keys/{key_id}/students": ("?since=2020-01-01T00:00:00Z&until={at}",),
    "/student-tokens/{token_id}/events": ("?since=2020-01-01T00:00:00Z&until={at}",),
    "/withdrawals/{withdrawal_id}": ("",),
}
# Those that name nothing: numbers by time or settings, or who is connected now.
NAMELESS = ("/activity", "/presence", "/room", "/notification-rules", "/copies", "/progress")
# Reads of a student's, or of lists: what is in them is of all classes of the caller.
OF_A_STUDENT = (
    "/students/{student_id}/timeline",
    "/students/{student_id}/accesses",
    "/students/{student_id}/submissions",
)
OF_ALL_CLASSES = (
    "/classes",
    "/overview",
    "/heard",
    "/notebooks",
    "/assignments",
    "/submissions",
    "/ingest-keys",
    "/student-tokens",
    "/withdrawals",
    "/notification-receivers",
    "/rejected-events",
)
# A student has a name and a team of the caller's first class that shows them.
OF_THE_FIRST_CLASS = ("/students", "/students/{student_id}")
# Tested below one by one.
OTHERS = ("/students/{student_id}/changes", "/students/{student_id}/pictures")
OF_STUDENTS_ONLY = {"/me", "/me/assignments", "/students/{student_id}/sessions"}
OF_NO_CLASS = ("/openapi.json", "/login/session")


async def test_each_read_that_is_not_everybodys_is_in_the_matrix() -> None:
    named = (*OF_A_CLASS, *OF_A_STUDENT, *OF_ALL_CLASSES, *OF_THE_FIRST_CLASS, *OTHERS)
    assert {*named, *OF_NO_CLASS} == {
        call.removeprefix("GET ")
        for call, row in ROUTES.items()
        if call.startswith("GET ") and row.instructor and not row.anyone
    }
    assert {
        call.removeprefix("GET ")
        for call, row in ROUTES.items()
        if call.startswith("GET ") and row.student and not row.instructor
    } == OF_STUDENTS_ONLY


@pytest.fixture
async def school(guarded_school: Replica) -> AsyncIterator[School]:
    async with three_classes(guarded_school) as school:
        yield school


def paths_of(room: Room, templates: dict[str, tuple[str, ...]], **ids: Any) -> Iterator[str]:
    for template, queries in templates.items():
        for query in queries:
            yield f"{template}{query}".format(at=soon(), **room.ids | ids)


async def exports(url: str) -> set[str]:
    """The paths of the reads that have a CSV."""
    async with client(url, token("root", "admin")) as api:
        paths: dict[str, dict[str, Any]] = (await api.get("/openapi.json")).json()["paths"]
    return {
        path.removeprefix("/api/v1")
        for path, calls in paths.items()
        if any(each["name"] == "format" for each in calls.get("get", {}).get("parameters", ()))
    }


async def text_of(api: httpx.AsyncClient, path: str, **query: str) -> str:
    answer = await api.get(path, params=httpx.URL(path).params.merge(query))
    assert answer.status_code == 200, (path, answer.text)
    return answer.text


async def test_each_view_of_a_class_has_its_own_and_nothing_else(school: School) -> None:
    with_csv = await exports(school.url)
    for room in school.rooms.values():
        for template, queries in OF_A_CLASS.items():
            nameless = template.endswith(NAMELESS)
            for path in paths_of(room, {template: queries}):
                texts = [await text_of(room.api, path)]
                if template in with_csv:
                    texts.append(await text_of(room.api, path, format="csv"))
                for text in texts:
                    seen = school.marks_in(text)
                    assert seen == {room.mark} or (nameless and not seen), (path, text)


async def test_lists_are_of_the_classes_of_who_asks(school: School) -> None:
    with_csv = await exports(school.url)
    for teacher, names in (("one", ("one", "two")), ("three", ("three",))):
        room = school.rooms[teacher]
        for path in OF_ALL_CLASSES:
            assert path not in with_csv
            assert school.marks_in(await text_of(room.api, path)) == school.of(*names), path
        for template in OF_THE_FIRST_CLASS:
            path = template.format(student_id=school.student_id)
            assert school.marks_in(await text_of(room.api, path)) == {room.mark}, path
    for path in (
        "/classes",
        "/notebooks",
        "/assignments",
        "/submissions",
        "/student-tokens",
        "/me",
        "/me/assignments",
    ):
        text = await text_of(school.student, path)
        assert school.marks_in(text) == school.of("one", "two", "three"), path


async def test_the_pictures_of_a_run_are_of_its_class(school: School) -> None:
    for name, room in school.rooms.items():
        query = {each: room.ids[each] for each in ("event_id", "executed_at")}
        path = f"/students/{school.student_id}/pictures"
        for reader in (*school.rooms.values(), None):
            api = reader.api if reader else school.student
            answer = await api.get(path, params=query)
            own = reader is None or (reader.mark in school.of("three")) == (name == "three")
            assert answer.status_code == (200 if own else 404), answer.text
            assert not own or len(answer.json()) == 1


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
        for path in paths_of(room, OF_A_CLASS):
            assert (await stranger.get(path)).status_code == 403, path
        for template, queries in OF_A_CLASS.items():
            if not ROUTES[f"GET {template}"].student:
                for path in paths_of(room, {template: queries}):
                    assert (await school.student.get(path)).status_code == 403, path
    own, other = school.rooms["one"], school.rooms["two"]
    for template, queries in OF_A_CLASS.items():
        if template.startswith("/classes/{class_id}/notebooks/"):
            ids = {"notebook_id": other.ids["notebook_id"]}
            for path in paths_of(own, {template: queries}, **ids):
                assert (await own.api.get(path)).status_code == 404, path


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
        for template in OF_A_STUDENT:
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
        for template in OF_A_STUDENT:
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
