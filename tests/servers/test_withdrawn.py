"""Revocation: keys and tokens that expire or are revoked, roles and enrolments that are removed."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from websockets.asyncio.client import connect

from tests.support.lms import create, create_class, unique
from tests.support.postgres import Address
from tests.support.provider import Provider, run_provider
from tests.support.replicas import CHECKING_OFTEN, RUN_CHECKING_OFTEN, Listener, Replica
from tests.support.tokens import SECRET, client, subprotocols, token
from tests.support.waiting import eventually

TIMEOUT = 15.0  # seconds
# Such a server whose checks of sockets fail in a way nobody has thought of, or are cancelled.
BROKEN = """
from monitor.auth import gate
admit = gate.Gate.caller
async def caller(self, scope):
    if "admitted" in scope:
        raise {error}
    scope["admitted"] = True
    return await admit(self, scope)
gate.Gate.caller = caller
"""


async def change(postgres: Address, statement: str, *arguments: Any) -> None:
    connection = await asyncpg.connect(**postgres)
    await connection.execute(statement, *arguments)
    await connection.close()


async def posted(replica: Replica, key: str, events: int = 1, *, address: str = "127.0.0.1") -> int:
    event = {"eventType": "help", "userId": "hanako"}
    transport = httpx.AsyncHTTPTransport(local_address=address)
    async with httpx.AsyncClient(transport=transport) as api:
        answer = await api.post(replica.events_url, json=[event] * events, params={"key": key})
    return answer.status_code


async def test_a_rotated_key_ends_after_24_hours(
    environment: dict[str, str], postgres: Address
) -> None:
    with Replica({**environment, "JWT_SECRET": SECRET}) as replica:
        async with client(replica.url, token("root", "admin")) as api:
            old = await create(api, "/ingest-keys", name="x")
            new = await create(api, f"/ingest-keys/{old['id']}/rotate")
            listed = {each["id"]: each for each in (await api.get("/ingest-keys")).json()}
        rotated_at = datetime.fromisoformat(listed[new["id"]]["created_at"])
        valid_to = datetime.fromisoformat(listed[old["id"]]["valid_to"])
        assert valid_to - rotated_at == timedelta(hours=24)
        assert listed[new["id"]]["valid_to"] is None
        move = "UPDATE ingest_keys SET valid_to = $2 WHERE id = $1"
        soon = datetime.now(valid_to.tzinfo) + timedelta(seconds=3)
        await change(postgres, move, old["id"], soon)
        assert await posted(replica, old["key"]) == 202

        async def is_refused() -> bool:
            return await posted(replica, old["key"]) == 401

        await eventually(is_refused)
        assert datetime.now(valid_to.tzinfo) >= soon
        assert await posted(replica, new["key"]) == 202


async def test_a_quota_is_of_a_day_and_of_all_replicas(
    environment: dict[str, str], postgres: Address
) -> None:
    secured = {**environment, "JWT_SECRET": SECRET, "DAILY_EVENTS": "10"}
    with Replica(secured) as replica:
        async with client(replica.url, token("root", "admin")) as api:
            key, other = [(await create(api, "/ingest-keys", name="x"))["key"] for _ in range(2)]
        for address in ("127.0.0.2", "127.0.0.3"):  # each has half of it
            assert await posted(replica, key, 5, address=address) == 202
        assert await posted(replica, key) == 503
        assert await posted(replica, other) == 202
    with Replica(secured) as replica:
        assert await posted(replica, key) == 503
        await change(postgres, "UPDATE ingest_usage SET day = day - 1")

        async def is_another_day() -> bool:
            return await posted(replica, key) == 202

        await eventually(is_another_day)


@pytest.fixture
def hub() -> Any:
    with run_provider() as provider:
        yield provider


@pytest.fixture
async def watched(environment: dict[str, str], hub: Provider) -> AsyncIterator[Replica]:
    """A replica that often looks whether a credential still holds."""
    with Replica({**environment, **hub.settings}, command=RUN_CHECKING_OFTEN) as replica:
        yield replica


@asynccontextmanager
async def listening(replica: Replica, credential: str, channels: str) -> AsyncIterator[Listener]:
    url = f"ws://127.0.0.1:{replica.port}/ws?channels={channels}"
    async with connect(url, proxy=None, subprotocols=subprotocols(credential)) as socket:
        listener = Listener(socket)
        assert (await listener.next())["event"] == "subscribed"
        yield listener


async def test_a_socket_ends_when_its_token_is_withdrawn(watched: Replica, hub: Provider) -> None:
    async with listening(watched, "hub-student", "progress:hanako") as listener:
        del hub.users["hub-student"]
        await asyncio.wait_for(listener.socket.wait_closed(), TIMEOUT)
        assert listener.socket.close_code == 4401
    async with client(watched.url, "hub-student") as api:
        assert (await api.get("/classes")).status_code == 401


async def test_a_socket_outlives_a_hub_that_is_away(watched: Replica, hub: Provider) -> None:
    async with listening(watched, "hub-student", "progress:hanako") as listener:
        hub.is_down = True
        asked = len(hub.asked)

        async def was_asked() -> bool:
            return len(hub.asked) > asked + 1

        await eventually(was_asked)
        assert (await listener.send(action="ping"))["event"] == "pong"


@pytest.mark.parametrize("error", ["KeyError('fault')", "__import__('asyncio').CancelledError"])
async def test_a_socket_that_cannot_be_checked_ends(
    environment: dict[str, str], hub: Provider, error: str
) -> None:
    code = BROKEN.format(error=error) + CHECKING_OFTEN
    with Replica({**environment, **hub.settings}, command=[sys.executable, "-c", code]) as broken:
        async with listening(broken, "hub-student", "progress:hanako") as listener:
            await asyncio.wait_for(listener.socket.wait_closed(), TIMEOUT)
            assert listener.socket.close_code == 1011


@pytest.mark.parametrize("lost", ["the role", "the class"])
async def test_a_channel_ends_with_what_gave_it(watched: Replica, hub: Provider, lost: str) -> None:
    async with client(watched.url, "hub-teacher") as api:
        class_id = (await create_class(api))["id"]
        student = await create(api, f"/classes/{class_id}/students", user_id=unique("pupil"))
        key = (await create(api, "/ingest-keys", name="x", class_id=class_id))["key"]
        mine = (await api.get("/students", params={"user_id": "sensei"})).json()
    assert [each["user_id"] for each in mine] == ["sensei"]
    async with listening(watched, "hub-teacher", f"class:{class_id}") as listener:
        if lost == "the role":
            hub.users["hub-teacher"] = hub.users["hub-teacher"] | {"groups": []}
        else:
            async with client(watched.url, "hub-admin") as api:
                path = f"/classes/{class_id}/students/{mine[0]['id']}"
                assert (await api.delete(path)).status_code == 200
        message = await listener.next(TIMEOUT)
        assert (message["event"], message["data"]["code"]) == ("error", "forbidden")
        events = [{"eventType": "help", "userId": student["user_id"]}]
        async with httpx.AsyncClient() as api:
            answer = await api.post(watched.events_url, json=events, params={"key": key})
        assert answer.status_code == 202
        assert await listener.silent()
