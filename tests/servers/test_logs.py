"""What a real server writes to its log, line by line."""

import asyncio
import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import asyncpg
import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.support.ecs import FIELDS, lines_of, requests_of
from tests.support.events import event
from tests.support.fixtures import replica_fixture
from tests.support.lms import create, create_class
from tests.support.openid import run_openid
from tests.support.paths import ROOT
from tests.support.postgres import Address
from tests.support.replicas import Replica
from tests.support.servers import InfluxServer, RedisServer
from tests.support.tokens import SECRET, bearer, token
from tests.support.waiting import eventually

PAGE = ROOT / "docs" / "logs.md"
UNLIKELY = "gnufzel"
ADMIN = token("root-of-the-tests", "admin")

# Logs only what is always logged.
quiet = replica_fixture("module", JWT_SECRET=SECRET, LOG_REQUESTS="0")
thorough = replica_fixture("module", JWT_SECRET=SECRET, LOG_REQUESTS="1")


async def line_of(replica: Replica, request_id: str) -> dict[str, Any]:
    """The one line about the request with this id."""

    def found() -> list[dict[str, Any]]:
        lines = requests_of(replica.output())
        return [line for line in lines if line["http.request.id"] == request_id]

    (line,) = await eventually(found)
    return line


async def ask(
    replica: Replica,
    method: str,
    path: str,
    request_id: str,
    *,
    json: Any = None,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """Makes a request with this id."""
    async with httpx.AsyncClient(base_url=replica.url, timeout=15) as client:
        sent = {**(headers or {}), "X-Request-ID": request_id}
        return await client.request(method, path, json=json, headers=sent)


def raw_answer(replica: Replica, request: bytes) -> str:
    """What the server answers to these bytes, up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", replica.port), timeout=10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


def test_the_docs_list_each_field_and_have_a_line() -> None:
    text = PAGE.read_text().partition("\n## Traces\n")[0]
    rows = re.findall(r"^\| (`.+?) \|.*\| ([^|]+) \|$", text, re.MULTILINE)
    listed = {name for names, _ in rows for name in re.findall(r"`([@\w.]+)`", names)}
    assert listed == FIELDS.keys()
    (example,) = re.findall(r"^```json\n(.+)\n```$", text, re.MULTILINE)
    (line,) = requests_of(example)
    assert line["http.response.status_code"] == 401


async def test_each_line_is_ecs_and_names_its_replica(thorough: Replica) -> None:
    await ask(thorough, "GET", "/health/live", "ecs-1")
    await line_of(thorough, "ecs-1")
    lines = lines_of(thorough.output())
    assert "Started" in [line["message"] for line in lines]
    names = {line["service.node.name"] for line in lines}
    assert names == {f"{socket.gethostname()}:{thorough.port}"}
    assert {line["service.name"] for line in lines} == {"cell-monitor"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/v1/events", 401),
        ("GET", "/api/v1/events", 405),
        ("GET", "/api/v1/classes", 401),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/health/live", 200),
        ("GET", "/health/live/", 200),
        ("GET", "/", 200),
        ("OPTIONS", "/api/v1/events", 400),
    ],
)
async def test_each_answer_has_a_request_id(
    quiet: Replica, method: str, path: str, status: int
) -> None:
    asked = {"Access-Control-Request-Method": "X", "Origin": "https://elsewhere.example"}
    headers = asked if method == "OPTIONS" else {}
    async with httpx.AsyncClient(base_url=quiet.url) as client:
        made = await client.request(method, path, headers=headers)
        again = await client.request(method, path, headers=headers)
        sent = await client.request(method, path, headers={**headers, "X-Request-ID": "a.b/c-1"})
    assert [each.status_code for each in (made, again, sent)] == [status] * 3
    assert made.headers["X-Request-ID"] != again.headers["X-Request-ID"]
    assert sent.headers["X-Request-ID"] == "a.b/c-1"


@pytest.mark.parametrize("sent", ["", "two words", "x" * 129, "hanako@school.example", "a\tb"])
async def test_an_id_that_is_not_well_formed_is_replaced(quiet: Replica, sent: str) -> None:
    answer = await ask(quiet, "GET", "/health/live", sent)
    assert re.fullmatch(r"[0-9a-f]{16}-[0-9a-f]+", answer.headers["X-Request-ID"])


async def test_events_are_answered_with_the_id_and_pages_may_read_it(thorough: Replica) -> None:
    headers = {**bearer(ADMIN), "Origin": "https://page.example"}
    path = "/api/v1/events"
    answer = await ask(thorough, "POST", path, "post-1", json=[event()], headers=headers)
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (202, "post-1")
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
    line = await line_of(thorough, "post-1")
    assert line["log.level"] == "info"
    assert line["url.path"] == "/api/v1/events"
    assert line["http.response.status_code"] == 202
    assert line["event.duration"] > 100_000  # ns
    assert line["user.roles"] == ["admin"]


async def test_refusals_are_always_logged(quiet: Replica) -> None:
    for number in range(3):
        await ask(quiet, "POST", "/api/v1/events", f"refused-{number}", json=[event()])
        await ask(quiet, "GET", "/health/live", f"fine-{number}")
    admin = bearer(ADMIN)
    await ask(quiet, "POST", "/api/v1/events", "wrong", json=[{}], headers=admin)
    await ask(quiet, "GET", "/api/v1/classes/99999", "unknown", headers=admin)
    line = await line_of(quiet, "refused-2")
    assert line["log.level"] == "warning"
    assert line["message"] == "POST /api/v1/events: 401"
    assert line["error.type"] == "Unauthenticated"
    assert line["error.message"] == "Send a credential: `Authorization: Bearer` and a token"
    assert line["event.type"] == ["access", "denied"]
    assert (await line_of(quiet, "wrong"))["http.response.status_code"] == 422
    logged = {line["http.request.id"] for line in requests_of(quiet.output())}
    assert {"refused-0", "refused-1", "refused-2"} <= logged
    assert not logged & {"fine-0", "fine-1", "fine-2", "unknown"}


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (b"CONNECT other:1 HTTP/1.1\r\nHost: other:1\r\n\r\n", 501),
    ],
)
async def test_the_protocols_refusals_are_logged(
    quiet: Replica, request_: bytes, status: int
) -> None:
    answer = raw_answer(quiet, request_)
    assert answer.startswith(f"HTTP/1.1 {status} ")
    request_id = re.search(r"x-request-id: (\S+)\r\n", answer)
    assert request_id
    line = await line_of(quiet, request_id[1])
    assert line["http.response.status_code"] == status


async def test_a_refused_socket_is_logged(quiet: Replica) -> None:
    handshake = (
        "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "X-Request-ID: socket-1\r\n\r\n"
    )
    answer = raw_answer(quiet, handshake.encode())
    assert answer.startswith("HTTP/1.1 403 ")
    assert "x-request-id: socket-1\r\n" in answer.lower()
    line = await line_of(quiet, "socket-1")
    assert (line["url.path"], line["http.response.status_code"]) == ("/ws", 403)
    assert line["error.type"] == "Unauthenticated"


async def test_a_socket_that_is_refused_where_people_sign_in_is_logged(
    environment: dict[str, str],
) -> None:
    with run_openid() as provider:
        settings = {"JWT_SECRET": SECRET, "LOG_REQUESTS": "0", **provider.settings}
        with Replica({**environment, **settings}) as replica:
            url = f"{replica.url.replace('http', 'ws')}/ws"
            named = {"X-Request-ID": "socket-2"}
            async with connect(url, proxy=None, additional_headers=named) as refused:
                with pytest.raises(ConnectionClosed):
                    await refused.recv()
                assert refused.close_code == 4401
            line = await line_of(replica, "socket-2")
            named = {"X-Request-ID": "socket-3", **bearer(ADMIN)}
            async with connect(url, proxy=None, additional_headers=named) as taken:
                await taken.recv()
            replica.stop()
            logged = {line["http.request.id"] for line in requests_of(replica.output())}
    assert (line["url.path"], line["http.response.status_code"]) == ("/ws", 401)
    assert (line["log.level"], line["event.type"]) == ("warning", ["access", "denied"])
    assert line["error.type"] == "Unauthenticated"
    assert "socket-3" not in logged


async def test_slow_requests_are_always_logged(
    postgres: Address, environment: dict[str, str]
) -> None:
    settings = {**environment, "LOG_REQUESTS": "0"}
    with Replica(settings) as replica:
        async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1", timeout=15) as client:
            connection = await asyncpg.connect(**postgres)
            async with connection.transaction():
                await connection.execute("LOCK TABLE classes IN ACCESS EXCLUSIVE MODE")
                headers = {"X-Request-ID": "slow-1"}
                reading = asyncio.create_task(client.get("/classes", headers=headers))
                await asyncio.sleep(1.2)
            assert (await reading).status_code == 200
            await connection.close()
        line = await line_of(replica, "slow-1")
        assert line["log.level"] == "warning"
        assert line["event.duration"] >= 1_000_000_000


async def test_a_share_of_the_others_is_logged(environment: dict[str, str]) -> None:
    settings = {**environment, "LOG_REQUESTS": "0.2"}
    with Replica(settings) as replica:
        async with httpx.AsyncClient(base_url=replica.url) as client:
            for _ in range(60):
                await client.get("/health/live")
                await asyncio.sleep(0.05)
        logged = len(requests_of(replica.output()))
    assert 2 <= logged <= 25  # 12, less those within 0.1 s of another


async def test_a_sample_has_at_most_ten_lines_a_second(environment: dict[str, str]) -> None:
    settings = {**environment, "LOG_REQUESTS": "0.9"}
    with Replica(settings) as replica:
        async with httpx.AsyncClient(base_url=replica.url) as client:
            started = asyncio.get_running_loop().time()
            for _ in range(300):
                await client.get("/health/live")
            seconds = asyncio.get_running_loop().time() - started
        logged = len(requests_of(replica.output()))
    assert 1 <= logged <= 10 * (seconds + 1)


async def test_all_are_logged_also_at_the_same_time(environment: dict[str, str]) -> None:
    with Replica({**environment, "LOG_REQUESTS": "1"}) as replica:
        async with httpx.AsyncClient(base_url=replica.url) as client:
            await asyncio.gather(*(client.get("/health/live") for _ in range(20)))
        logged = [
            line for line in requests_of(replica.output()) if line["url.path"] == "/health/live"
        ]
    assert len(logged) >= 20


async def test_a_flood_is_not_logged_whole(environment: dict[str, str]) -> None:
    settings = {**environment, "JWT_SECRET": SECRET}
    with Replica(settings) as replica:
        async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1") as client:
            started = asyncio.get_running_loop().time()
            for _ in range(300):
                await client.get("/classes")
            await asyncio.sleep(1.1)
            await client.get("/classes")
            seconds = asyncio.get_running_loop().time() - started
        lines = lines_of(replica.output())
    logged = [line for line in lines if line["log.logger"] == "monitor.requests"]
    assert len(logged) <= 50 * (seconds + 1)
    (left_out,) = [line for line in lines if "left out" in line["message"]][-1:]
    assert re.fullmatch(r"\d+ lines about requests were left out", left_out["message"])


async def test_debug_says_what_happens_and_nothing_of_people(
    redis_server: RedisServer, influx_server: InfluxServer, environment: dict[str, str]
) -> None:
    """Names of people, their work and credentials are all made of one unlikely word."""
    settings = {
        "JWT_SECRET": SECRET,
        "LOG_LEVEL": "DEBUG",
        "TEST_EVENTS": "on",
        "METRICS_TOKEN": f"{UNLIKELY} token of a scraper of the tests",
        "REDIS_HOST": redis_server.host,
        "REDIS_PORT": str(redis_server.port),
        "INFLUXDB_URL": influx_server.url,
    }
    admin = bearer(token(f"{UNLIKELY}-admin", "admin"))
    with Replica({**environment, **settings}) as replica:
        async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1", timeout=15) as client:
            client.headers.update(admin)
            lesson = await create_class(client, name=f"{UNLIKELY} class")
            key = await create(client, "ingest-keys", name=UNLIKELY, class_id=lesson["id"])
            secret = key["key"]
            code = {"code": f"print('{UNLIKELY}')", "userId": f"{UNLIKELY}-student"}
            await client.post("/events", params={"key": secret}, json=[event(**code)])
            await client.post(
                "/events", params={"key": secret}, json=[event(**code), {"userId": 1}]
            )
            await client.post("/events", params={"key": f"cm_{UNLIKELY}"}, json=[event(**code)])
            await client.get(f"/classes/{lesson['id']}/now", params={"team": UNLIKELY})
            await client.get(f"/test/events/{UNLIKELY}")
            await client.get(f"/{UNLIKELY}")
            wrong = bearer(token(f"{UNLIKELY}-thief", "admin", exp=1))
            await client.get("/classes", headers=wrong)
            student = bearer(token(f"{UNLIKELY}-student", "student"))
            await client.delete(f"/classes/{lesson['id']}", headers=student)
            await client.post("/students", json={"user_id": f"{UNLIKELY}-student"})
            await client.post("/students", json={"user_id": f"{UNLIKELY}-student"})
            page = f"https://{UNLIKELY}.example"
            await client.get("/classes", headers={"Referer": page})
        url = f"{replica.url.replace('http', 'ws')}/ws?channels=progress:{UNLIKELY}-student"
        async with connect(url, proxy=None, additional_headers=admin) as websocket:
            assert websocket.response
            assert "X-Request-ID" in websocket.response.headers
            await websocket.recv()
            await websocket.send(f'{{"action": "subscribe", "channels": ["{UNLIKELY}"]}}')
            await websocket.recv()
        replica.stop()
        output = replica.output()
    lines = lines_of(output)
    debug = [line["message"] for line in lines if line["log.level"] == "debug"]
    for said in ("Settings that differ", "Stored 1 requests", "subscribed to 1 channels"):
        assert [message for message in debug if said in message], said
    assert UNLIKELY not in output
    assert secret not in output
    for header in (admin, wrong, student):
        assert header["Authorization"].split(" ")[1] not in output
    paths = {line["url.path"] for line in requests_of(output) if "url.path" in line}
    assert {f"/api/v1/classes/{lesson['id']}/now", "/api/v1/test/events/{test_id}"} <= paths


def read_all(leader: int) -> bytes:
    """What was written to a terminal, which gives a few KiB at a time."""
    os.set_blocking(leader, False)
    parts = []
    with suppress(BlockingIOError):
        while part := os.read(leader, 65536):
            parts.append(part)
    return b"".join(parts)


async def test_on_a_terminal_lines_are_for_who_reads_them(environment: dict[str, str]) -> None:
    leader, follower = os.openpty()
    secured = {**environment, "JWT_SECRET": SECRET, "LOG_REQUESTS": "0"}
    try:
        with Replica(secured, stderr=follower) as replica:
            await ask(replica, "GET", "/api/v1/classes", "terminal-1")
            await asyncio.sleep(0.2)
        lines = read_all(leader).decode().splitlines()
    finally:
        os.close(leader)
        os.close(follower)
    assert [line[9:] for line in lines if line.endswith(("Started", "Stopped"))] == [
        "INFO    Started",
        "INFO    Stopped",
    ]
    (refused,) = [line for line in lines if "terminal-1" in line]
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d WARNING GET /api/v1/classes: 401"
        r" \(Send a credential: .*, \d+\.\d ms, request terminal-1\)",
        refused,
    )
    assert not [line for line in lines if "{" in line or "\x1b" in line]
