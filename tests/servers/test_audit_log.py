"""The audit log: who was enrolled, by file and by key, and what was refused."""

import asyncio
import json
from typing import Any

import httpx
from websockets.asyncio.client import connect

from tests.support.lms import unique
from tests.support.replicas import Replica
from tests.support.tokens import client, subprotocols, token
from tests.support.waiting import eventually


async def entries_of(replica: Replica, name: str) -> list[dict[str, Any]]:
    async with client(replica.url, token("root", "admin")) as api:
        total = int((await api.get("/audit")).headers["X-Total-Count"])
        listed = await api.get("/audit", params={"skip": max(0, total - 500), "limit": 500})
        return [each for each in listed.json() if each["name"] == name]


async def make_class(replica: Replica, teacher: str) -> int:
    async with client(replica.url, token(teacher, "instructor")) as api:
        made = await api.post("/classes", json={"name": "x", "class_code": unique()})
    class_id: int = made.json()["id"]
    return class_id


async def test_it_names_who_was_enrolled(guarded_school: Replica) -> None:
    teacher, ids = unique("sensei"), [unique("pupil") for _ in range(4)]
    class_id = await make_class(guarded_school, teacher)
    async with client(guarded_school.url, token(teacher, "instructor")) as api:
        rows = [{"user_id": ids[0]}, {"user_id": ids[1], "role": "assistant"}]
        assert (await api.post(f"/classes/{class_id}/students", json=rows)).status_code == 201
        answer = await api.post(
            f"/classes/{class_id}/roster",
            content=f"user_id\n{ids[2]}\n{ids[3]}\n".encode(),
            headers={"Content-Type": "text/csv"},
        )
        assert answer.status_code == 201
    logged = [each["detail"].get("enrolled") for each in await entries_of(guarded_school, teacher)]
    assert logged[-2:] == [
        {ids[0]: "student", ids[1]: "assistant"},
        {ids[2]: "student", ids[3]: "student"},
    ]


async def test_it_names_who_joined_with_a_key(guarded_school: Replica) -> None:
    teacher, names = unique("sensei"), {unique("pupil") for _ in range(3)}
    class_id = await make_class(guarded_school, teacher)
    async with client(guarded_school.url, token(teacher, "instructor")) as api:
        key = (await api.post("/ingest-keys", json={"name": "x", "class_id": class_id})).json()
    events = [{"eventType": "help", "userId": name} for name in names]
    async with client(guarded_school.url, None) as api:
        for _ in range(2):
            answer = await api.post("/events", json=events, params={"key": key["key"]})
            assert answer.status_code == 202
    (entry,) = await entries_of(guarded_school, f"key {key['id']}")
    assert entry["detail"] == {"enrolled": dict.fromkeys(names, "student")}
    assert entry["path"] == f"/classes/{class_id}"


async def test_it_has_a_teacher_s_part_and_not_each_sign(
    guarded_school: Replica,
) -> None:
    teacher = unique("sensei")
    class_id = await make_class(guarded_school, teacher)
    async with client(guarded_school.url, token(teacher, "instructor")) as api:
        for part in ({}, {"teams": ["A"]}, {}):
            answer = await api.put(f"/classes/{class_id}/duties", json={"name": "Sato", **part})
            assert answer.status_code == 200
    logged = [each["operation"] for each in await entries_of(guarded_school, teacher)]
    assert logged.count("PUT /api/v1/classes/{class_id}/duties") == 1


async def refuse(api: httpx.AsyncClient, *paths: str) -> None:
    for path in paths:
        assert (await api.get(path)).status_code == 403


async def test_it_has_what_was_refused_once_a_minute_and_caller(guarded_school: Replica) -> None:
    class_id = await make_class(guarded_school, unique("sensei"))
    curious, other = unique("curious"), unique("other")
    async with client(guarded_school.url, token(curious)) as api:
        await refuse(api, f"/classes/{class_id}/now", "/audit")  # by the role
        await refuse(api, *[f"/classes/{class_id}"] * 20)  # by the row
    async with client(guarded_school.url, token(other, "instructor")) as api:
        await refuse(api, f"/classes/{class_id}")

    async def logged() -> list[dict[str, Any]]:
        return await entries_of(guarded_school, curious)

    (entry,) = await eventually(
        logged, lambda found: found and found[0]["detail"]["left_out"] == 21
    )
    assert (entry["role"], entry["path"]) == ("student", f"/api/v1/classes/{class_id}/now")
    assert entry["operation"] == "refused: GET /api/v1/classes/{class_id}/now"
    assert "may not do this" in entry["detail"]["reason"]
    (entry,) = await eventually(lambda: entries_of(guarded_school, other))
    assert entry["detail"]["left_out"] == 0
    assert "No access" in entry["detail"]["reason"]
    await asyncio.sleep(1.5)
    assert len(await logged()) == 1


async def test_it_has_refused_subscriptions_once_a_minute_and_caller(
    guarded_school: Replica,
) -> None:
    class_id = await make_class(guarded_school, unique("sensei"))
    curious = unique("curious")
    url = f"ws://127.0.0.1:{guarded_school.port}/ws"
    async with connect(url, subprotocols=subprotocols(token(curious)), proxy=None) as socket:
        for _ in range(5):
            for action in ("subscribe", "presence"):
                await socket.send(json.dumps({"action": action, "channels": [f"class:{class_id}"]}))
        while "forbidden" not in str(await asyncio.wait_for(socket.recv(), 10)):
            pass

    async def logged() -> list[dict[str, Any]]:
        return await entries_of(guarded_school, curious)

    (entry,) = await eventually(
        logged, lambda entries: entries and entries[0]["detail"]["left_out"] == 9
    )
    assert (entry["operation"], entry["path"]) == ("refused: WS /ws", "/ws")
    assert f"class:{class_id}" in entry["detail"]["reason"]
