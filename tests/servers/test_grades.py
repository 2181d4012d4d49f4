"""Grades as JSON, for spreadsheets, and as files that other systems take."""

import csv
import io
import re
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.lms import create, create_assignment, create_class, unique
from tests.support.postgres import address_in, fetch
from tests.support.replicas import Replica
from tests.support.teachers import a_teacher
from tests.support.tokens import client, token

FORMULA = "=HYPERLINK(1)"


class Graded(NamedTuple):
    """A class with two assignments; Hanako has 7.5 and 10, Taro 0 in the second."""

    class_id: int
    assignments: list[int]
    hanako: str
    taro: str
    titles: tuple[str, str]


async def rows_of(api: httpx.AsyncClient, path: str, form: str) -> list[list[str]]:
    answer = await api.get(f"{path}/grades", params={"format": form})
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["Content-Disposition"]
    assert answer.content.startswith(b"\xef\xbb\xbf") == (form != "nbgrader")
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


async def grade(api: httpx.AsyncClient, assignment_id: int, user_id: str, value: Any) -> None:
    fields = {"assignment_id": assignment_id, "user_id": user_id, "grade": value}
    await create(api, "/submissions", **fields)


@pytest.fixture
async def graded(api: httpx.AsyncClient) -> Graded:
    class_id = (await create_class(api))["id"]
    hanako, taro, nobody, gone = (unique(name) for name in ("a-hanako", "b-taro", "c", "d"))
    people = [
        {"user_id": hanako, "name": "山田 花子", "email": "hanako@x.jp", "team": "A"},
        {"user_id": taro, "name": "Taro Sato"},
        {"user_id": nobody, "name": FORMULA},
        {"user_id": gone},
    ]
    answer = await api.post(f"/classes/{class_id}/students", json=people)
    titles = ("第1回", "課題 2")
    assignments = [
        (await create_assignment(api, class_id=class_id, title=titles[0], points=10))["id"],
        (await create_assignment(api, class_id=class_id, title=titles[1]))["id"],
    ]
    for value in (3, 7.5, None):  # the latest attempt has no grade yet
        await grade(api, assignments[0], hanako, value)
    await grade(api, assignments[1], hanako, 10)
    await grade(api, assignments[1], taro, 0)
    await grade(api, assignments[1], gone, 5)
    ids = {each["user_id"]: each["student_id"] for each in answer.json()}
    await api.delete(f"/classes/{class_id}/students/{ids[gone]}")
    return Graded(class_id, assignments, hanako, taro, titles)


async def test_the_latest_graded_attempt_counts(api: httpx.AsyncClient, graded: Graded) -> None:
    grades = (await api.get(f"/classes/{graded.class_id}/grades")).json()
    found = [(each["user_id"], each["title"], each["attempt"], each["grade"]) for each in grades]
    first, second = graded.titles
    assert found[:4] == [
        (graded.hanako, first, 2, 7.5),
        (graded.hanako, second, 1, 10),
        (graded.taro, first, None, None),
        (graded.taro, second, 1, 0),
    ]
    assert len(found) == 6  # who was removed is not among them
    of_one = (await api.get(f"/assignments/{graded.assignments[0]}/grades")).json()
    assert [(each["title"], each["grade"]) for each in of_one] == [
        (first, 7.5),
        (first, None),
        (first, None),
    ]
    for path in ("/classes/999999999/grades", "/assignments/999999999/grades"):
        assert (await api.get(path)).status_code == 404
    assert (await api.get(f"/classes/{graded.class_id}/grades?format=xml")).status_code == 422


async def test_a_spreadsheet_gets_all_students_and_no_formula(
    api: httpx.AsyncClient, graded: Graded
) -> None:
    headings, *rows = await rows_of(api, f"/assignments/{graded.assignments[0]}", "csv")
    assert [row[headings.index("grade")] for row in rows] == ["7.5", "", ""]
    assert [row[headings.index("name")] for row in rows][2] == f"'{FORMULA}"


async def test_moodle_gets_identifiers_and_a_column_of_grades_for_each_item(
    api: httpx.AsyncClient, graded: Graded
) -> None:
    rows = await rows_of(api, f"/classes/{graded.class_id}", "moodle")
    assert rows == [
        ["ID number", "Full name", "Email address", *graded.titles],
        [graded.hanako, "山田 花子", "hanako@x.jp", "7.5", "10"],
        [graded.taro, "Taro Sato", "", "", "0"],
    ]
    one = await rows_of(api, f"/assignments/{graded.assignments[0]}", "moodle")
    assert [row[0] for row in one] == ["ID number", graded.hanako]  # an empty grade would remove


async def test_canvas_finds_its_headings_students_and_points(
    api: httpx.AsyncClient, graded: Graded
) -> None:
    rows = await rows_of(api, f"/classes/{graded.class_id}", "canvas")
    assert rows == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *graded.titles],
        ["    Points Possible", "", "", "", "", "10", ""],
        ["山田 花子", "", graded.hanako, graded.hanako, "A", "7.5", "10"],
        ["Taro Sato", "", graded.taro, graded.taro, "", "", "0"],
    ]


async def test_nbgrader_has_the_columns_of_its_own_export(
    api: httpx.AsyncClient, graded: Graded
) -> None:
    rows = await rows_of(api, f"/classes/{graded.class_id}", "nbgrader")
    assert ",".join(rows[0]) == (
        "assignment,duedate,timestamp,student_id,last_name,first_name,email,raw_score,"
        "late_submission_penalty,score,max_score"
    )
    first, second = graded.titles
    assert [[*row[:2], *row[3:]] for row in rows[1:]] == [
        [first, "", graded.hanako, "山田", "花子", "hanako@x.jp", "7.5", "0.0", "7.5", "10.0"],
        [second, "", graded.hanako, "山田", "花子", "hanako@x.jp", "10.0", "0.0", "10.0", ""],
        [second, "", graded.taro, "Sato", "Taro", "", "0.0", "0.0", "0.0", ""],
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", row[2]) for row in rows[1:])


@pytest.mark.parametrize("form", ["moodle", "canvas", "nbgrader"])
async def test_a_formula_is_written_as_text_and_an_id_as_it_is(
    api: httpx.AsyncClient, form: str
) -> None:
    class_id = (await create_class(api))["id"]
    plain, evil = unique("-1+@"), unique("@x|'!")
    people = [{"user_id": plain, "name": FORMULA, "team": FORMULA}, {"user_id": evil}]
    await api.post(f"/classes/{class_id}/students", json=people)
    titles = ("+1(2)", "+1(2)")
    for title in titles:
        assignment = await create_assignment(api, class_id=class_id, title=title)
        for user_id in (plain, evil):
            await grade(api, assignment["id"], user_id, -2)
    cells = [cell for row in await rows_of(api, f"/classes/{class_id}", form) for cell in row]
    assert plain in cells
    assert f"'{evil}" in cells
    formulas = [cell for cell in cells if re.match("[=+@-]", cell)]
    assert {each for each in formulas if not re.fullmatch(r"[\w.@+\-]+", each)} == set()
    if form != "nbgrader":  # two assignments of one title are two columns
        assert len({cell for cell in cells if "+1(2)" in cell}) == 2
    assert "-2" in cells or "-2.0" in cells


async def test_a_canvas_file_is_a_roster_again(api: httpx.AsyncClient, graded: Graded) -> None:
    """Canvas's own export has the same columns."""
    path = f"/classes/{graded.class_id}/grades"
    for form in ("canvas", "nbgrader"):
        file = (await api.get(path, params={"format": form})).content
        answer = await api.post(
            f"/classes/{graded.class_id}/roster",
            content=file,
            headers={"Content-Type": "text/csv"},
            params={"dry_run": True},
        )
        report = answer.json()
        assert report["file"]["format"] == form
        assert [line["outcome"] for line in report["lines"]] == ["unchanged", "unchanged"]


async def test_grades_are_for_the_staff_and_exports_are_on_record(guarded_school: Replica) -> None:
    async with a_teacher(guarded_school) as owner, a_teacher(guarded_school) as stranger:
        student, assistant = unique("student"), unique("assistant")
        await owner.enrol(student)
        await owner.enrol(assistant, role="assistant")
        path = f"/classes/{owner.class_id}/grades"
        callers = {(student, "student"): 403, (assistant, "instructor"): 200}
        for (name, role), status in callers.items():
            async with client(guarded_school.url, token(name, role)) as api:
                assert (await api.get(path)).status_code == status
        assert (await stranger.api.get(path)).status_code == 403
        for form in ("json", "csv", "moodle", "canvas", "nbgrader"):
            assert (await owner.api.get(path, params={"format": form})).status_code == 200
        query = "SELECT path FROM audit_log WHERE name = $1 AND operation LIKE 'GET%'"
        rows = await fetch(address_in(guarded_school.environment), query, owner.name)
        assert [row["path"] for row in rows] == [f"/api/v1{path}"] * 4
