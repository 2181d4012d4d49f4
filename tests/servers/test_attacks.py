"""Attacks: too much, too slowly and too deep; test_noise.py has the noise."""

import asyncio
import gzip
import json
import socket
from contextlib import AsyncExitStack

import httpx
import pytest

from monitor.auth.limits import MAX_SOCKETS
from tests.support.fixtures import replica_fixture
from tests.support.replicas import Replica
from tests.support.tokens import SECRET, bearer, client, subprotocols, token

MAX_BYTES = 100_000

# A replica with credentials and short deadlines.
strict = replica_fixture(
    "module",
    JWT_SECRET=SECRET,
    REQUEST_TIMEOUT="1",
    MAX_REQUEST_BYTES=str(MAX_BYTES),
    DAILY_EVENTS="10",
)


async def exchange(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """What the server answers until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.create_task(reader.read())
    try:
        for part in parts:
            writer.write(part)
            await asyncio.wait([answer], timeout=pause)
            if answer.done():
                break
        return await asyncio.wait_for(answer, 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


KEY = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
HEAD = b"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /heal", HEAD, HEAD + b"Content-Length: 50\r\n\r\n[", b"G" * 3000],
    ids=["nothing", "half a line", "half a head", "half a body", "a word"],
)
async def test_who_keeps_the_server_waiting_is_shown_out(strict: Replica, sent: bytes) -> None:
    answer = await exchange(strict.port, sent)
    assert answer.startswith(b"HTTP/1.1 40"), answer
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_who_sends_drop_by_drop_is_shown_out(strict: Replica) -> None:
    credential = f"Authorization: Bearer {token('hanako')}\r\n".encode()
    head = HEAD + credential + b"Content-Length: 50\r\n\r\n"
    answer = await exchange(strict.port, head, *[b"["] * 10, pause=0.3)
    assert answer.startswith(b"HTTP/1.1 408 "), answer


async def test_who_reads_no_answer_is_cut_off(strict: Replica) -> None:
    asked = 100
    head = f"GET /api/v1/openapi.json HTTP/1.1\r\nAuthorization: Bearer {token('hanako')}\r\n\r\n"
    with socket.socket() as idler:
        idler.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        idler.connect(("127.0.0.1", strict.port))
        idler.sendall(head.encode() * asked)
        await asyncio.sleep(4)
        idler.settimeout(10)
        answers = b"".join(iter(lambda: idler.recv(1 << 20), b""))
    assert 0 < answers.count(b"HTTP/1.1 200 OK") < asked


async def test_many_requests_at_once_are_no_large_head(shared_replica: Replica) -> None:
    heads = [b"GET /health/live?%d%s HTTP/1.1\r\n" % (n, b"x" * 7000) for n in range(300)]
    answer = await exchange(shared_replica.port, b"\r\n".join(heads), b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == len(heads)


UPGRADE = b"GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


@pytest.mark.parametrize(
    "head",
    [
        UPGRADE % b"/ws" + b"Sec-WebSocket-Protocol: bearer." + b"x" * 9000 + b"\r\n",
        UPGRADE % b"/ws" + b"".join(b"X-%d: x\r\n" % number for number in range(200)),
        UPGRADE % (b"/ws?name=" + b"x" * 9000),
        UPGRADE % b"/ws",
    ],
    ids=["long", "many", "line", "no key"],
)
async def test_what_is_no_handshake_is_answered(shared_replica: Replica, head: bytes) -> None:
    answer = await exchange(shared_replica.port, head + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 4"), answer


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "null", "://", "\xff", "http://a@b"])
async def test_what_is_no_origin_is_refused(strict: Replica, origin: str) -> None:
    fields = f"Origin: {origin}\r\nAuthorization: Bearer {token('hanako')}\r\n\r\n".encode(
        "latin-1"
    )
    answer = await exchange(strict.port, b"GET /api/v1/classes HTTP/1.0\r\n" + fields)
    assert answer.startswith(b"HTTP/1.1 403 "), answer


@pytest.mark.parametrize(
    "parts",
    [
        (HEAD + b"X: " + b"x" * 40_000 + b"\r\n\r\n",),
        (HEAD + b"X: " + b"x" * 20_000, b"x" * 20_000, b"\r\n\r\n"),
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n\r\n",),
        (HEAD + b"".join(b"X-%d: x\r\n" % number for number in range(5000)) + b"\r\n",),
        (b"GET / HTTP/1.1\r\nX: ", *[b"x" * 1000] * 32, b"x" * 756),
    ],
    ids=["one", "in parts", "line", "many", "endless"],
)
async def test_a_large_head_is_refused(strict: Replica, parts: tuple[bytes, ...]) -> None:
    answer = await exchange(strict.port, *parts, pause=0.02)
    assert answer.startswith(b"HTTP/1.1 431 "), answer


async def test_a_long_body_is_no_large_head(strict: Replica) -> None:
    body = b"[" + b" " * 50_000 + b"]"
    async with client(strict.url, token("hanako")) as api:
        answer = await api.post(
            "/events", content=body, headers={"Content-Type": "application/json"}
        )
    assert answer.status_code == 202


async def test_trailers_are_not_kept(strict: Replica) -> None:
    head = HEAD + f"Authorization: Bearer {token('hanako')}\r\n".encode()
    chunked = head + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n[]\r\n0\r\n"
    answer = await exchange(strict.port, chunked + b"X: y\r\n" * 1000 + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 202 "), answer


async def test_half_sent_requests_hold_up_nobody(strict: Replica) -> None:
    lorises = [asyncio.create_task(exchange(strict.port, HEAD)) for _ in range(200)]
    async with client(strict.url, None, "") as api:
        assert (await api.get("/health/ready")).status_code == 200
    assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in await asyncio.gather(*lorises))


def bomb() -> bytes:
    return gzip.compress(b"[" + b" " * 50_000_000 + b"]")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (bomb(), {"Content-Encoding": "gzip"}, 413),
        (gzip.compress(bomb()), {"Content-Encoding": "gzip"}, 422),
        (b"[" * 50_000, {}, 422),
        (b'[{"a":' * 10_000, {}, 422),
        (b'[{"eventType":"x","userId":"u","executionCount":' + b"9" * 5000 + b"}]", {}, 422),
        (b'[{"eventType":"x","userId":"u","executionDurationMs":1e999999}]', {}, 422),
        (b'[{"eventType":"help","eventType":"help","userId":"u","userId":"hanako"}]', {}, 202),
        (b'[{"eventType":"\xff\xfe","userId":"hanako"}]', {}, 422),
        (b'[{"eventType":"\\ud800\\u0000","userId":"hanako"}]', {}, 202),
    ],
)
async def test_hostile_bodies(
    strict: Replica, body: bytes, headers: dict[str, str], status: int
) -> None:
    async with client(strict.url, token("hanako")) as api:
        headers = {"Content-Type": "application/json", **headers}
        answer = await api.post("/events", content=body, headers=headers)
    assert answer.status_code == status, answer.text[:300]
    assert "Traceback" not in answer.text


async def test_a_key_has_its_quota(strict: Replica) -> None:
    async with client(strict.url, token("root", "admin")) as api:
        key = (await api.post("/ingest-keys", json={"name": "x"})).json()["key"]
    event = {"eventType": "help", "userId": "hanako"}
    async with client(strict.url, None) as api:
        for events, status in ((5, 202), (1, 503)):
            answer = await api.post("/events", json=[event] * events, params={"key": key})
            assert answer.status_code == status
    assert int(answer.headers["Retry-After"]) > 1


async def test_sockets_are_limited(strict: Replica) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    url = f"ws://127.0.0.1:{strict.port}/ws"
    protocols = subprotocols(token("jiro"))
    async with AsyncExitStack() as sockets:
        for _ in range(MAX_SOCKETS):
            await sockets.enter_async_context(connect(url, proxy=None, subprotocols=protocols))
        with pytest.raises(InvalidStatus):
            await sockets.enter_async_context(connect(url, proxy=None, subprotocols=protocols))


async def test_no_students_code_is_logged(strict: Replica) -> None:
    code = "print('private words')"
    event = {"eventType": "cell_executed", "userId": "hanako", "code": code, "errorMessage": code}
    odd = {"eventId": "same", "eventTime": "2026-11-25T00:00:00Z"}
    async with client(strict.url, token("hanako")) as api:
        for body in (
            [event | odd, event | odd],
            [event | odd | {"code": f"{code}\0\ud800"}],
            [event, event | {"cellIndex": code}],
            [event | {"notebookPath": code * 100}],
            [event | {"eventTime": code}],
            {"code": code},
        ):
            content = json.dumps(body).encode()
            headers = {"Content-Type": "application/json"}
            answer = await api.post("/events", content=content, headers=headers)
            assert answer.status_code in (202, 422), answer.text
    assert "private words" not in strict.output()


async def test_no_secret_is_logged(strict: Replica) -> None:
    good, bad = token("hanako"), "cmk_" + "s3cret" * 7
    async with httpx.AsyncClient(base_url=strict.url) as api:
        await api.get("/api/v1/classes", headers=bearer(good))
        await api.post(f"/api/v1/events?key={bad}", json=[])
        await api.post(f"/api/v1/events?token={good}", json=[])
        await api.get("/api/v1/classes/%00", headers=bearer(bad))
    assert good not in strict.output()
    assert bad not in strict.output()
