"""A teacher of one class sees nothing of another, however they enrol students."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.lms import create, create_assignment, create_class, unique
from tests.support.replicas import Replica
from tests.support.teachers import Teacher, a_teacher, post
from tests.support.tokens import client, token


@pytest.fixture
async def owner(guarded_school: Replica) -> AsyncIterator[Teacher]:
    async with a_teacher(guarded_school) as teacher:
        yield teacher


@pytest.fixture
async def stranger(guarded_school: Replica) -> AsyncIterator[Teacher]:
    async with a_teacher(guarded_school) as teacher:
        yield teacher


@pytest.fixture
async def pupil(owner: Teacher) -> dict[str, Any]:
    """A student of the owner's class, who has worked there."""
    name = unique("pupil")
    await post(owner.replica, owner.key, name, userName="花子")
    return (await owner.roster())[name]


async def test_who_is_enrolled_is_on_the_roster_at_once(
    owner: Teacher, stranger: Teacher, pupil: dict[str, Any]
) -> None:
    entry = await stranger.enrol(pupil["user_id"], name="改名", email="x@example.com", team="B")
    assert (entry["role"], entry["name"]) == ("student", "改名")
    assert (await owner.roster())[pupil["user_id"]] == pupil
    assert (await owner.student(pupil["student_id"]))["name"] == "花子"
    seen = await stranger.student(pupil["student_id"])
    assert (seen["name"], seen["email"], seen["team"]) == ("改名", "x@example.com", "B")
    path = f"/classes/{stranger.class_id}/students/{pupil['student_id']}"
    cleared = (
        await stranger.api.put(path, json={"name": None, "email": None, "team": None})
    ).json()
    assert (cleared["name"], cleared["email"], cleared["team"]) == (None, None, None)


async def test_a_claimed_name_is_shown_in_its_class_only(
    owner: Teacher, stranger: Teacher, pupil: dict[str, Any]
) -> None:
    await stranger.enrol(pupil["user_id"])
    assert (await stranger.roster())[pupil["user_id"]]["name"] is None
    assert (await stranger.student(pupil["student_id"]))["name"] is None
    await post(stranger.replica, stranger.key, pupil["user_id"], userName="太郎", teamName="C")
    entry = (await stranger.roster())[pupil["user_id"]]
    assert (entry["name"], entry["team"]) == ("太郎", "C")
    assert (await owner.roster())[pupil["user_id"]] == pupil
    assert (await owner.listed())[pupil["user_id"]]["name"] == "花子"
    assert (await stranger.listed())[pupil["user_id"]]["name"] == "太郎"
    for teacher, count in ((owner, 0), (stranger, 1)):
        answer = await teacher.api.get("/students", params={"team": "C"})
        assert (len(answer.json()), answer.headers["X-Total-Count"]) == (count, str(count))


async def test_of_several_classes_the_first_one_names_a_student(
    owner: Teacher, pupil: dict[str, Any]
) -> None:
    second = (await create_class(owner.api))["id"]
    body = {"user_id": pupil["user_id"], "name": "second", "email": "x@example.com"}
    await create(owner.api, f"/classes/{second}/students", **body)
    seen = await owner.student(pupil["student_id"])
    assert (seen["name"], seen["email"]) == ("花子", None)


async def test_a_students_record_is_an_administrators(
    owner: Teacher, pupil: dict[str, Any]
) -> None:
    path = f"/students/{pupil['student_id']}"
    assert (await owner.api.put(path, json={"name": "x"})).status_code == 403
    assert (await owner.api.post("/students", json={"user_id": unique()})).status_code == 403
    async with client(owner.replica.url, token("root", "admin")) as api:
        await api.put(path, json={"name": "記録", "team": "record"})
        assert (await api.get(path)).json()["name"] == "記録"
    entry = (await owner.roster())[pupil["user_id"]]
    assert (entry["name"], entry["team"]) == ("記録", "record")


async def test_who_is_made_an_assistant_is_seen_no_more(
    stranger: Teacher, pupil: dict[str, Any]
) -> None:
    await stranger.enrol(pupil["user_id"])
    await stranger.enrol(pupil["user_id"], role="assistant")
    assert (await stranger.api.get(f"/students/{pupil['student_id']}")).status_code == 403
    assert pupil["user_id"] not in await stranger.listed()


async def test_an_assistant_changes_no_roster(owner: Teacher, pupil: dict[str, Any]) -> None:
    name = unique("assistant")
    entry = await owner.enrol(name, role="assistant")
    path = f"/classes/{owner.class_id}"
    as_teacher = {"user_id": name, "role": "teacher"}
    async with client(owner.replica.url, token(name, "instructor")) as api:
        assert (await api.get(f"{path}/students")).status_code == 200
        for answer in (
            await api.put(f"{path}/students/{entry['student_id']}", json={"role": "teacher"}),
            await api.post(f"{path}/students", json=as_teacher),
            await api.post(
                f"{path}/roster",
                content=f"user_id,role\n{name},teacher\n",
                headers={"Content-Type": "text/csv"},
            ),
            await api.delete(f"{path}/students/{pupil['student_id']}"),
        ):
            assert answer.status_code == 403
    assert (await owner.roster())[name]["role"] == "assistant"


async def test_who_was_removed_is_seen_no_more_and_stays_out(
    owner: Teacher, stranger: Teacher, pupil: dict[str, Any]
) -> None:
    await stranger.enrol(pupil["user_id"])
    path = f"/classes/{owner.class_id}/students/{pupil['student_id']}"
    assert (await owner.api.delete(path)).status_code == 200
    await post(owner.replica, owner.key, pupil["user_id"])
    assert list(await owner.roster()) == [owner.name]
    assert (await owner.api.get(f"/students/{pupil['student_id']}")).status_code == 403
    assert pupil["user_id"] in await stranger.roster()
    await owner.enrol(pupil["user_id"])
    assert (await owner.student(pupil["student_id"]))["name"] == "花子"


async def test_who_waits_neither_sees_the_class_nor_is_seen_in_it(owner: Teacher) -> None:
    name = unique("waiting")
    path = f"/classes/{owner.class_id}"
    assert (await owner.api.put(path, json={"join_policy": "approve"})).status_code == 200
    await post(owner.replica, owner.key, name)
    entry = (await owner.roster())[name]
    assert entry["role"] == "waiting"
    async with client(owner.replica.url, token(name)) as api:
        assert (await api.get(path)).status_code == 403
        assert (await api.get("/classes")).json() == []
        assert (await owner.api.get(f"/students/{entry['student_id']}")).status_code == 403
        async with owner.listening(f"progress:{name}") as listener:
            assert (await listener.next())["data"]["code"] == "forbidden"
        await owner.enrol(name)
        assert [each["id"] for each in (await api.get("/classes")).json()] == [owner.class_id]
    assert (await owner.student(entry["student_id"]))["user_id"] == name


async def test_nobody_is_enrolled_by_the_id_of_anothers_student(
    stranger: Teacher, pupil: dict[str, Any]
) -> None:
    body = {"student_id": pupil["student_id"]}
    answer = await stranger.api.post(f"/classes/{stranger.class_id}/students", json=body)
    assert answer.status_code == 403


async def test_a_notebook_is_of_the_class_it_was_worked_on_in(
    owner: Teacher, stranger: Teacher, pupil: dict[str, Any]
) -> None:
    for teacher in (owner, stranger):
        await post(teacher.replica, teacher.key, pupil["user_id"], notebookPath="Untitled.ipynb")
        assignment = await create_assignment(teacher.api, class_id=teacher.class_id)
        seen = (await teacher.api.get("/notebooks")).json()
        assert {each["class_id"] for each in seen} == {teacher.class_id}
        (own,) = (each for each in seen if each["path"] == "Untitled.ipynb")
        path = f"/assignments/{assignment['id']}"
        changed = await teacher.api.put(path, json={"notebook_id": own["id"]})
        assert changed.json()["notebook_id"] == own["id"]
    assert (await owner.api.get(f"/notebooks/{own['id']}")).status_code == 403
    body = {"class_id": owner.class_id, "notebook_id": own["id"], "title": "x"}
    assert (await owner.api.post("/assignments", json=body)).status_code == 403


async def test_what_was_handed_in_to_another_class_stays_there(
    owner: Teacher, stranger: Teacher, pupil: dict[str, Any]
) -> None:
    async with client(owner.replica.url, token("root", "admin")) as api:
        await create(api, f"/classes/{stranger.class_id}/students", user_id=pupil["user_id"])
        for teacher in (owner, stranger):
            assignment = await create_assignment(teacher.api, class_id=teacher.class_id)
            submission = {
                "assignment_id": assignment["id"],
                "user_id": pupil["user_id"],
                "grade": 1,
            }
            await create(teacher.api, "/submissions", **submission)
        path = f"/students/{pupil['student_id']}/submissions"
        assert len((await api.get(path)).json()["items"]) == 2
    (item,) = (await stranger.api.get(path)).json()["items"]
    assert item["class_id"] == stranger.class_id
    async with stranger.listening(f"notifications:{pupil['user_id']}") as listener:
        assert (await listener.next())["data"]["code"] == "forbidden"
    async with stranger.listening(f"notifications:{stranger.name}") as listener:
        assert (await listener.next())["event"] == "subscribed"
