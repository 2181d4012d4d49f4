"""A teacher of one class sees nothing of another, however they enrol students."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.support.lms import create, create_assignment, create_class, unique
from tests.support.replicas import Listener, Replica
from tests.support.tokens import client, token

SEEN = ("", "/timeline", "/accesses", "/sessions", "/submissions", "/timeline?format=csv")


class Teacher:
    """An instructor with a class and its key."""

    def __init__(self, replica: Replica, api: httpx.AsyncClient, name: str) -> None:
        self.replica = replica
        self.api = api
        self.name = name
        self.class_id = 0
        self.key = ""

    async def enrol(self, user_id: str, **said: Any) -> dict[str, Any]:
        path = f"/classes/{self.class_id}/students"
        return await create(self.api, path, user_id=user_id, **said)

    async def roster(self) -> dict[str, dict[str, Any]]:
        entries = (await self.api.get(f"/classes/{self.class_id}/students")).json()
        return {entry["user_id"]: entry for entry in entries}

    async def sees(self, student_id: int) -> set[int]:
        """The statuses of all that can be asked about a student."""
        return {(await self.api.get(f"/students/{student_id}{path}")).status_code for path in SEEN}

    @asynccontextmanager
    async def listening(self, *channels: str) -> AsyncIterator[Listener]:
        credential: Any = ["cell-monitor", f"bearer.{token(self.name, 'instructor')}"]
        url = f"ws://127.0.0.1:{self.replica.port}/ws?channels={','.join(channels)}"
        async with connect(url, proxy=None, subprotocols=credential) as socket:
            yield Listener(socket)


@asynccontextmanager
async def a_teacher(replica: Replica) -> AsyncIterator[Teacher]:
    name = unique("teacher")
    async with client(replica.url, token(name, "instructor")) as api:
        teacher = Teacher(replica, api, name)
        teacher.class_id = (await create_class(api))["id"]
        teacher.key = await a_key(teacher, teacher.class_id)
        yield teacher


async def a_key(teacher: Teacher, class_id: int) -> str:
    created = await create(teacher.api, "/ingest-keys", name="x", class_id=class_id)
    return str(created["key"])


async def post(replica: Replica, key: str, user_id: str, **said: Any) -> None:
    event = {"eventType": "cell_executed", "userId": user_id, "notebookPath": f"{user_id}.ipynb"}
    async with client(replica.url, None) as api:
        body = [event | {"cellId": "c", "code": "secret()"} | said]
        answer = await api.post("/events", json=body, params={"key": key})
    assert answer.status_code == 202, answer.text


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


async def shows_nothing(teacher: Teacher, pupil: dict[str, Any], role: str = "pending") -> None:
    user_id, student_id = pupil["user_id"], pupil["student_id"]
    assert await teacher.sees(student_id) == {403}
    assert (await teacher.roster())[user_id]["role"] == role
    listed = (await teacher.api.get("/students")).json()
    assert user_id not in [each["user_id"] for each in listed]
    now = (await teacher.api.get(f"/classes/{teacher.class_id}/now")).json()
    assert user_id not in [each["user_id"] for each in now]
    paths = [each["path"] for each in (await teacher.api.get("/notebooks")).json()]
    assert f"{user_id}.ipynb" not in paths
    async with teacher.listening(f"progress:{user_id}") as listener:
        assert (await listener.next())["data"]["code"] == "forbidden"
    async with teacher.listening(f"class:{teacher.class_id}") as listener:
        await listener.next()
        await post(teacher.replica, teacher.key, user_id, eventType="help")
        assert await listener.silent()


async def test_who_is_enrolled_by_hand_is_pending(
    owner: Teacher, stranger: Teacher, pupil: dict[str, Any]
) -> None:
    entry = await stranger.enrol(pupil["user_id"], name="renamed", email="x@example.com")
    assert (entry["role"], entry["name"], entry["email"]) == ("pending", None, None)
    assert (await stranger.enrol(pupil["user_id"]))["role"] == "pending"
    await shows_nothing(stranger, pupil)
    assert (await owner.roster())[pupil["user_id"]] == pupil
    assert await owner.sees(pupil["student_id"]) == {200}


async def test_who_posts_with_another_key_is_pending(
    stranger: Teacher, pupil: dict[str, Any]
) -> None:
    await post(stranger.replica, stranger.key, pupil["user_id"])
    await shows_nothing(stranger, pupil)


async def test_who_is_on_an_uploaded_roster_is_pending(
    stranger: Teacher, pupil: dict[str, Any]
) -> None:
    answer = await stranger.api.post(
        f"/classes/{stranger.class_id}/roster",
        content=f"user_id\n{pupil['user_id']}\n".encode(),
        headers={"Content-Type": "text/csv"},
    )
    assert [entry["role"] for entry in answer.json()] == ["pending"]


async def test_who_is_made_an_assistant_is_seen_no_more(
    stranger: Teacher, pupil: dict[str, Any]
) -> None:
    await stranger.enrol(pupil["user_id"], role="assistant")
    await shows_nothing(stranger, pupil, "assistant")
    assert (await stranger.enrol(pupil["user_id"]))["role"] == "pending"


async def test_nobody_is_enrolled_by_the_id_of_anothers_student(
    stranger: Teacher, pupil: dict[str, Any]
) -> None:
    body = {"student_id": pupil["student_id"]}
    answer = await stranger.api.post(f"/classes/{stranger.class_id}/students", json=body)
    assert answer.status_code == 403


async def test_who_is_pending_can_be_taken_off(stranger: Teacher, pupil: dict[str, Any]) -> None:
    await stranger.enrol(pupil["user_id"])
    path = f"/classes/{stranger.class_id}/students/{pupil['student_id']}"
    assert (await stranger.api.delete(path)).status_code == 200
    assert list(await stranger.roster()) == [stranger.name]


async def test_an_administrator_lets_a_student_into_a_second_class(
    owner: Teacher, stranger: Teacher, pupil: dict[str, Any]
) -> None:
    await post(stranger.replica, stranger.key, pupil["user_id"])
    async with client(owner.replica.url, token("root", "admin")) as api:
        path = f"/classes/{stranger.class_id}/students"
        assert (await create(api, path, user_id=pupil["user_id"]))["role"] == "student"
    assert await stranger.sees(pupil["student_id"]) == {200}
    assert await owner.sees(pupil["student_id"]) == {200}
    async with stranger.listening(f"class:{stranger.class_id}") as listener:
        await listener.next()
        await post(owner.replica, owner.key, pupil["user_id"])
        assert (await listener.next())["event"] == "execution_update"


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


async def test_a_teacher_has_the_same_students_in_two_classes(
    owner: Teacher, pupil: dict[str, Any]
) -> None:
    second = (await create_class(owner.api))["id"]
    await post(owner.replica, await a_key(owner, second), pupil["user_id"])
    entries = (await owner.api.get(f"/classes/{second}/students")).json()
    assert {entry["user_id"]: entry["role"] for entry in entries} == {
        owner.name: "teacher",
        pupil["user_id"]: "student",
    }


async def test_key_shows_no_student_to_other_teachers(
    owner: Teacher, stranger: Teacher, pupil: dict[str, Any]
) -> None:
    """A class's key doesn't prove that its holder is the student, or their teacher."""
    second = (await create_class(owner.api))["id"]
    path = f"/classes/{second}/students"
    await create(owner.api, path, user_id=stranger.name, role="assistant")
    await post(owner.replica, await a_key(owner, second), pupil["user_id"])
    assert await stranger.sees(pupil["student_id"]) == {403}
    assert (await create(owner.api, path, user_id=pupil["user_id"]))["role"] == "student"
    assert await stranger.sees(pupil["student_id"]) == {200}


async def test_who_is_in_no_class_yet_is_enrolled_at_once(stranger: Teacher) -> None:
    assert (await stranger.enrol(unique("new")))["role"] == "student"
