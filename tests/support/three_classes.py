"""Two teachers, three classes and a student of all of them: something of everything in each."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx

from tests.support.lms import create, create_class, notebook, unique
from tests.support.replicas import Replica
from tests.support.tokens import client, token

PICTURE = {"mimeType": "image/png", "bytes": 8, "data": "iVBORw0KGgo="}


class Room(NamedTuple):
    """A class with its teacher; each text of its events contains its `mark`."""

    api: httpx.AsyncClient
    mark: str
    class_id: int
    key: str
    ids: dict[str, Any]

    def is_in(self, text: str) -> bool:
        """Whether a text, JSON or CSV, is about the class."""
        return self.mark in text or f'"class_id":{self.class_id},' in text.replace("}", ",")


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
        return {room.mark for room in self.rooms.values() if room.is_in(text)}


@asynccontextmanager
async def three_classes(replica: Replica) -> AsyncIterator[School]:
    """On a server with credentials."""
    url, user = replica.url, unique("pupil")
    async with (
        client(url, token(unique("teacher"), "instructor")) as first,
        client(url, token(unique("teacher"), "instructor")) as second,
        client(url, token(unique("teacher"), "instructor")) as elsewhere,
        client(url, token(user, "student")) as student,
    ):
        code = (await create_class(elsewhere))["class_code"]
        rooms: dict[str, Room] = {}
        for name, api in (("one", first), ("two", first), ("three", second)):
            mark = "qzx"[: len(rooms) + 1] + unique("")[1:]
            rooms[name] = await _open_room(replica, api, mark, user)
        (themselves,) = (await student.get("/students")).json()
        for room in rooms.values():
            await _fill(room, replica, themselves["id"], code)
        yield School(url, rooms, user, student, themselves["id"])


async def _post(replica: Replica, key: str, *events: dict[str, Any]) -> None:
    async with client(replica.url, None) as anyone:
        answer = await anyone.post("/events", json=events, params={"key": key})
    assert answer.json()["stored"] == len(events), answer.text


async def _open_room(replica: Replica, api: httpx.AsyncClient, mark: str, user: str) -> Room:
    """Makes a class in which the student failed as often as `mark` has characters."""
    class_id = (await create_class(api, name=f"class {mark}"))["id"]
    key = await create(api, "/ingest-keys", name=f"key {mark}", class_id=class_id)
    place: dict[str, Any] = {
        "userId": user,
        "userName": f"name {mark}",
        "teamName": f"team {mark}",
        "notebookPath": f"{mark}.ipynb",
        "cellId": f"cell-{mark}",
        "sessionId": "session",
    }
    failed = {"hasError": True, "errorMessage": f"Error{mark}: x", "code": f"run({mark})"}
    failed |= {"metadata": {"pictures": [PICTURE]}}
    events = [
        place | {"eventType": "notebook_open", "cellId": None},
        *(place | failed | {"eventType": "cell_executed"} for _ in range(len(mark))),
        place | {"eventType": "help"},
    ]
    await _post(replica, key["key"], *events)
    (named,) = (await api.get("/notebooks", params={"path": f"{mark}.ipynb"})).json()
    task = {"class_id": class_id, "notebook_id": named["id"], "title": f"task {mark}"}
    assignment = await create(api, "/assignments", **task)
    handed_in = {"user_id": user, "feedback": mark, "grade": 1, "notebook_content": notebook(mark)}
    submission = await create(api, "/submissions", assignment_id=assignment["id"], **handed_in)
    ids = {
        "class_id": class_id,
        "notebook_id": named["id"],
        "assignment_id": assignment["id"],
        "submission_id": submission["id"],
        "key_id": key["id"],
        "cell_id": f"cell-{mark}",
    }
    return Room(api, mark, class_id, key["key"], ids)


async def _fill(room: Room, replica: Replica, student_id: int, other_code: str) -> None:
    """What a teacher does in a class, and what is kept out of it."""
    api, mark, path = room.api, room.mark, f"/classes/{room.class_id}"
    timeline = (await api.get(f"/students/{student_id}/timeline")).json()["items"]
    run = next(each for each in timeline if each["class_id"] == room.class_id)
    room.ids.update(event_id=run["event_id"], executed_at=run["executed_at"])
    issued = await api.post(f"{path}/tokens", json={"student_ids": [student_id]})
    room.ids.update(token_id=issued.json()[0]["id"], token=issued.json()[0]["token"])
    opened = {"eventType": "notebook_open", "notebookPath": f"{mark}.ipynb"}
    await _post(replica, room.ids["token"], opened)
    receiver = {"class_id": room.class_id, "name": f"receiver {mark}", "url": "json://127.0.0.1:9"}
    created = await create(api, "/notification-receivers", **receiver, kinds=[])
    room.ids["receiver_id"] = created["id"]
    long_ago = {"since": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z"}
    withdrawn = await api.post(f"/ingest-keys/{room.ids['key_id']}/withdraw", json=long_ago)
    room.ids["withdrawal_id"] = withdrawn.json()["id"]
    await create(api, f"{path}/invite")
    await api.put(f"{path}/duties", json={"name": f"on duty {mark}"})
    await api.post(f"{path}/help/{student_id}/take", json={"name": f"taker {mark}"})

    event = {"eventType": "cell_executed", "notebookPath": f"{mark}.ipynb"}
    gone = event | {"userId": f"gone {mark}"}
    enrolled = await create(api, f"{path}/students", user_id=gone["userId"])
    await api.delete(f"{path}/students/{enrolled['student_id']}")
    await _post(replica, room.key, gone)
    heard = {"userId": f"heard {mark}", "classCode": other_code, "userName": f"name {mark}"}
    await _post(replica, room.key, event | heard)
    assert (await api.put(path, json={"join_policy": "approve"})).status_code == 200
    await _post(replica, room.key, event | {"userId": f"waiting {mark}"})
    waiting = (await api.get(f"{path}/waiting")).json()
    room.ids["waiting_id"] = waiting[0]["student_id"]
    async with client(replica.url, None) as anyone:  # no eventType: a dead letter
        await anyone.post("/events", json=[{"userId": mark}], params={"key": room.key})


def soon() -> str:
    """A moment by which everything has happened, as replays take it."""
    return f"{datetime.now(UTC) + timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"
