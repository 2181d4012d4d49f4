"""Clients that offer to upgrade a connection: what is no WebSocket is served by HTTP/1.1."""

import asyncio
import json
import subprocess
import uuid
from collections.abc import Callable

import pytest

from tests.support.programs import find_curl
from tests.support.replicas import Replica
from tests.support.wire import item

H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAA\r\n"
Encode = Callable[[str, bytes], bytes]
OFFERS = {
    "h2c": H2C,
    "h2c of two headers": "Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: h2c\r\n",
    "tls": "Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n",
    "websocket by POST": "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "several": "Connection: Upgrade\r\nUpgrade: h2c, HTTP/3.0\r\n",
}


def body() -> bytes:
    return json.dumps([item(eventId=str(uuid.uuid4()))]).encode()


def request(offer: str, body: bytes) -> bytes:
    head = f"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\n{offer}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(offer: str, body: bytes) -> bytes:
    head = f"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\n{offer}"
    parts = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:9], body[9:]))
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + parts + b"0\r\n\r\n"


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status and the body."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    lines = head.lower().split(b"\r\n")
    (length,) = [line.split(b":")[1] for line in lines if line.startswith(b"content-length:")]
    return int(head.split()[1]), await reader.readexactly(int(length))


async def answers(replica: Replica, pieces: list[bytes], count: int) -> list[tuple[int, bytes]]:
    """What one connection receives for `count` requests, whose bytes arrive in these pieces."""
    reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)
        received = [await read_answer(reader) for _ in range(count)]
        await silent(reader)
    finally:
        writer.close()
    return received


async def silent(reader: asyncio.StreamReader) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.2)


def assert_stored(*received: tuple[int, bytes]) -> None:
    for status, content in received:
        assert (status, json.loads(content)["stored"]) == (202, 1), content


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize("encode", [request, chunked])
async def test_a_body_behind_an_offer_is_stored(
    replica: Replica, offer: str, encode: Encode
) -> None:
    assert_stored(*await answers(replica, [encode(offer, body())], 1))


async def test_it_does_not_matter_how_a_request_is_cut(replica: Replica) -> None:
    sent = request(H2C, body())
    head, _, content = sent.partition(b"\r\n\r\n")
    for pieces in (
        [head + b"\r\n\r\n", content],
        [head[:30], head[30:-20], head[-20:] + b"\r\n\r\n" + content[:5], content[5:]],
        [head + b"\r\n\r", b"\n" + content],
    ):
        (received,) = await answers(replica, pieces, 1)
        assert received[0] == 202
        assert json.loads(received[1])["stored"] + json.loads(received[1])["duplicates"] == 1


async def test_a_body_is_not_read_as_a_request(replica: Replica) -> None:
    head, _, _ = request(H2C, b"x" * 35).partition(b"\r\n\r\n")
    hidden = b"GET /health/live HTTP/1.1\r\nA: b\r\n\r\n"
    ((status, _),) = await answers(replica, [head + b"\r\n\r\n", hidden[:35]], 1)
    assert status == 422


async def test_offers_may_follow_each_other_on_a_connection(replica: Replica) -> None:
    sent = [request(H2C, body()), request("", body()), chunked(H2C, body()), request(H2C, body())]
    assert_stored(*await answers(replica, [b"".join(sent)], 4))


async def test_an_offer_without_a_body_is_answered(replica: Replica) -> None:
    sent = f"GET /health/live HTTP/1.1\r\nHost: localhost\r\n{H2C}\r\n".encode()
    assert [status for status, _ in await answers(replica, [sent * 2], 2)] == [200, 200]


async def test_who_expects_to_be_asked_for_the_body_is(replica: Replica) -> None:
    head, _, content = request(H2C + "Expect: 100-continue\r\n", body()).partition(b"\r\n\r\n")
    reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
    writer.write(head + b"\r\n\r\n")
    asked = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert asked.startswith(b"HTTP/1.1 100 ")
    writer.write(content)
    assert_stored(await read_answer(reader))
    writer.close()


async def test_a_request_for_a_proxy_is_refused(replica: Replica) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
    head = b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n"
    writer.write(head + b"GET / HTTP/1.1\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 501 ")
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_websocket_is_opened_also_with_two_connection_headers(replica: Replica) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nConnection: keep-alive\r\n"
        b"Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 101 ")


@pytest.mark.needs("curl")
async def test_curl_may_offer_http_2(replica: Replica) -> None:
    options = ("-sS", "--max-time", "10", "--http2", "-H", "Content-Type: application/json")
    for size in (1, 500):
        items = [item(eventId=str(uuid.uuid4())) for _ in range(size)]
        done = await asyncio.to_thread(
            subprocess.run,
            [find_curl(), *options, "--data-binary", "@-", replica.events_url],
            input=json.dumps(items).encode(),
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["stored"] == size
