"""What is scarce, while one student takes as much of it as they can by all their credentials."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from monitor.auth import authentication
from monitor.auth.authentication import Authenticator
from monitor.auth.credentials import Credential
from monitor.auth.jupyterhub import JupyterHubClient
from monitor.auth.keyring import Keyring
from monitor.auth.limits import MAX_SOCKETS
from monitor.auth.revocations import Revocations
from monitor.database.pool import Database
from monitor.errors import OverLimit, Unauthenticated
from tests.support.fixtures import replica_fixture
from tests.support.lms import create
from tests.support.provider import USERS, Provider, run_provider
from tests.support.replicas import Listener, Replica
from tests.support.tokens import SECRET, bearer, client, token
from tests.support.waiting import eventually

MAX_BYTES = 100_000  # of a body
REQUESTS = 200  # a minute
SLOW_PART = 90_000  # bytes of one that doesn't end

small = replica_fixture(
    "module",
    JWT_SECRET=SECRET,
    MAX_REQUEST_BYTES=str(MAX_BYTES),
    QUEUE_MAX_BYTES=str(4 * MAX_BYTES),
)
narrow = replica_fixture(
    "module",
    JWT_SECRET=SECRET,
    DAILY_EVENTS="100",
    MAX_REQUEST_EVENTS="10",
    QUEUE_MAX_EVENTS="10",
)


exposed = replica_fixture("module", ALLOW_UNAUTHENTICATED="yes", MINUTE_EVENTS=str(5 * REQUESTS))


async def shares(replica: Replica) -> dict[str, Any]:
    """What `/health` counts."""
    async with client(replica.url, token("root", "admin")) as api:
        counted: dict[str, Any] = (await api.get("/health")).json()["shares"]
    return counted


async def new_key(replica: Replica) -> str:
    async with client(replica.url, token("root", "admin")) as api:
        key: str = (await create(api, "/ingest-keys", name="x"))["key"]
    return key


def body(events: int = 1) -> bytes:
    return json.dumps(
        [
            {"eventType": "help", "userId": "hanako", "eventId": str(uuid.uuid4())}
            for _ in range(events)
        ]
    ).encode()


@asynccontextmanager
async def half_sent(replica: Replica, credential: str) -> AsyncIterator[None]:
    """A body of which the end is never sent, with the credential's header."""
    _, writer = await asyncio.open_connection("127.0.0.1", replica.port)
    head = (
        "POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"{credential}\r\nContent-Length: {MAX_BYTES}\r\n\r\n"
    )
    writer.write(head.encode() + b"[" + b" " * SLOW_PART)
    await writer.drain()
    try:
        yield
    finally:
        writer.close()


async def in_two_parts(replica: Replica, credential: str) -> httpx.Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b" " * SLOW_PART
        await asyncio.sleep(0.2)
        yield body()

    headers = {"Content-Type": "application/json", **bearer(credential)}
    async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1") as api:
        return await api.post("/events", content=parts(), headers=headers)


async def test_bodies_that_one_student_stalls_by_two_credentials_leave_room(small: Replica) -> None:
    key = await new_key(small)
    async with AsyncExitStack() as stalled:
        own = f"Authorization: Bearer {token('mallory')}"
        for credential in [own, f"X-Ingest-Key: {key}"] * 4:
            await stalled.enter_async_context(half_sent(small, credential))
        await asyncio.sleep(0.5)
        answer = await in_two_parts(small, token("hanako"))
        assert answer.status_code == 202, answer.text
        assert (await shares(small))["refused"]["bytes of requests"] >= 4


async def test_what_is_refused_costs_nothing_of_a_days_quota(narrow: Replica) -> None:
    key = await new_key(narrow)
    headers = {"Content-Type": "application/json", "X-Ingest-Key": key}
    async with httpx.AsyncClient(base_url=f"{narrow.url}/api/v1", headers=headers) as api:
        stored = 0
        async with asyncio.timeout(10):
            while stored < 50:  # an address's half
                bodies = [body(10) for _ in range(20)]
                answers = await asyncio.gather(*(api.post("/events", content=b) for b in bodies))
                accepted = [each for each in answers if each.status_code == 202]
                refused = [each for each in answers if each.status_code == 503]
                assert len(accepted) + len(refused) == 20
                assert accepted, refused[0].text
                stored += sum(each.json()["stored"] for each in accepted)
        assert stored == 50
        refused_at_last = await api.post("/events", content=body())
    assert refused_at_last.status_code == 503
    assert "from one address" in refused_at_last.json()["detail"]
    counted = await shares(narrow)
    waiting = counted["refused"]["events that wait"] + counted["exhausted"]["events that wait"]
    assert waiting > 0
    assert counted["refused"]["events a day"] > 0


async def test_an_address_has_its_share_of_an_open_servers_sockets(exposed: Replica) -> None:
    url = f"ws://127.0.0.1:{exposed.port}/ws"
    async with AsyncExitStack() as sockets:
        for _ in range(MAX_SOCKETS):
            here = connect(url, proxy=None, local_addr=("127.0.0.2", 0))
            await sockets.enter_async_context(here)
        with pytest.raises(InvalidStatus):
            await connect(url, proxy=None, local_addr=("127.0.0.2", 0))
        there = connect(url, proxy=None, local_addr=("127.0.0.3", 0))
        socket = await sockets.enter_async_context(there)
        assert (await Listener(socket).next())["event"] == "subscribed"
        counted = await shares(exposed)
    assert counted["refused"]["sockets"] == 1
    assert counted["exhausted"]["sockets"] == 0


async def test_who_is_over_a_limit_per_minute_is_counted(exposed: Replica) -> None:
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.4")
    async with httpx.AsyncClient(base_url=f"{exposed.url}/api/v1", transport=transport) as api:
        statuses = [(await api.get("/classes")).status_code for _ in range(REQUESTS + 3)]
    assert statuses == [200] * REQUESTS + [429] * 3
    assert (await shares(exposed))["refused"]["requests, events and bytes a minute"] == 3


@pytest.fixture
def hub() -> Iterator[Provider]:
    """A JupyterHub with a class of 40, which takes its time."""
    with run_provider() as provider:
        for number in range(40):
            name = f"student-{number}"
            scopes = [f"access:servers!server={name}/"]
            provider.users[name] = USERS["hub-student"] | {"name": name, "scopes": scopes}
        provider.delay = 0.1
        yield provider


@pytest.fixture
def authenticator(database: Database, hub: Provider, tmp_path: Path) -> Authenticator:
    keyring = Keyring(database, tmp_path / "keys.json", 100)
    revocations = Revocations(database, tmp_path / "revoked.json")
    client = JupyterHubClient(f"{hub.url}/hub/api", "instructors")
    return Authenticator(keyring, revocations, None, client)


async def sign_in(authenticator: Authenticator, text: str, address: str = "192.0.2.1") -> str:
    principal = await authenticator.principal(Credential("token", text), f"address {address}")
    return principal.name


async def test_a_class_at_one_address_signs_in_at_once(authenticator: Authenticator) -> None:
    names = [f"student-{number}" for number in range(40)]
    assert await asyncio.gather(*(sign_in(authenticator, name) for name in names)) == names


async def test_random_tokens_keep_nobody_out_who_was_in_or_is_elsewhere(
    authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "RECHECK_INTERVAL", 0.0)
    monkeypatch.setattr(authentication, "_GRACE", 0.0)
    assert await sign_in(authenticator, "hub-admin") == "root"
    flood = [
        asyncio.create_task(sign_in(authenticator, f"random-{number}")) for number in range(300)
    ]
    turns = authenticator.hub.turns  # type: ignore[union-attr]
    await eventually(lambda: turns.refused == 300 - 64)
    assert await sign_in(authenticator, "hub-admin") == "root"
    assert await sign_in(authenticator, "hub-teacher", "192.0.2.2") == "sensei"
    assert sum(not task.done() for task in flood) > 64 / 2  # who would have come before them
    outcomes = await asyncio.gather(*flood, return_exceptions=True)
    assert {type(each) for each in outcomes} == {OverLimit, Unauthenticated}
    assert turns.refused == 300 - 64
