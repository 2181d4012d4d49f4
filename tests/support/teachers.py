"""Instructors, each with a class and its key, on a server with credentials."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import connect

from tests.support.lms import create, create_class, unique
from tests.support.replicas import Listener, Replica
from tests.support.tokens import client, token


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

    async def student(self, student_id: int) -> dict[str, Any]:
        """The student as this teacher sees them."""
        answer = await self.api.get(f"/students/{student_id}")
        assert answer.status_code == 200, answer.text
        student: dict[str, Any] = answer.json()
        return student

    async def listed(self) -> dict[str, dict[str, Any]]:
        """The students this teacher sees, by user_id."""
        return {each["user_id"]: each for each in (await self.api.get("/students")).json()}

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
        key = await create(api, "/ingest-keys", name="x", class_id=teacher.class_id)
        teacher.key = key["key"]
        yield teacher


async def post(replica: Replica, key: str, user_id: str, **said: Any) -> None:
    event = {"eventType": "cell_executed", "userId": user_id, "notebookPath": f"{user_id}.ipynb"}
    async with client(replica.url, None) as api:
        body = [event | {"cellId": "c", "code": "secret()"} | said]
        answer = await api.post("/events", json=body, params={"key": key})
    assert answer.status_code == 202, answer.text
