"""Requests that wait for no answer, and bodies in tiny pieces: what one connection may cost."""

import asyncio
import json
import re

import psutil

from tests.support.events import event, post
from tests.support.fixtures import replica_fixture
from tests.support.replicas import Replica
from tests.support.tokens import SECRET, bearer, token

MOST_GROWTH = 40_000_000  # bytes
CALLS = b"GET /page/page.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2_000

guarded = replica_fixture("module", JWT_SECRET=SECRET)


async def test_requests_are_read_as_they_are_answered(guarded: Replica) -> None:
    assert guarded.process
    server = psutil.Process(guarded.process.pid)
    before = server.memory_info().rss
    reader, writer = await asyncio.open_connection("127.0.0.1", guarded.port)

    async def write() -> None:
        while True:
            writer.write(CALLS)
            await writer.drain()

    writing = asyncio.create_task(write())
    answered = 0
    try:
        async with asyncio.timeout(3):
            while answered < 2_000:
                answered += (await reader.read(65_536)).count(b"HTTP/1.1 ")
                assert server.memory_info().rss - before < MOST_GROWTH
    except TimeoutError:  # a busy machine: the memory is what counts
        assert answered
    finally:
        writing.cancel()
        writer.transport.abort()


async def test_a_body_of_tiny_chunks_is_refused(guarded: Replica) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", guarded.port)
    head = "POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    head += f"Authorization: {bearer(token('hanako'))['Authorization']}\r\n\r\n"
    writer.write(head.encode() + b"1\r\n[\r\n" + b"1\r\n \r\n" * 200_000)
    try:
        answer = await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:  # what it had not read is lost, and the answer with it
        answer = b""
    writer.transport.abort()
    assert answer.startswith(b"HTTP/1.1 400 ") or not answer, answer


async def test_a_body_of_plain_chunks_is_taken(guarded: Replica) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", guarded.port)
    head = "POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    head += f"Authorization: {bearer(token('hanako'))['Authorization']}\r\n\r\n"
    chunk = b"400\r\n" + b" " * 1024 + b"\r\n"
    writer.write(head.encode() + b"1\r\n[\r\n" + chunk * 2_000 + b"1\r\n]\r\n0\r\n\r\n")
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 202 "), answer


async def test_a_client_that_closes_its_side_early_gets_its_answers(school: Replica) -> None:
    body = json.dumps([event()]).encode()
    head = (
        "POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    page = b"GET /page/no HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for sent, statuses in (
        (head + body, [b"202"]),
        (head + body[:-5], []),
        (page, [b"404"]),
        (page + page[:-5], [b"404"]),
        (page + head + body[:-5], [b"404"]),
        (head + body + head + body[:-5], [b"202"]),
        (head + body + head[:40], [b"202"]),
        (2 * (head + body) + page + head + body[:-5], [b"202", b"202", b"404"]),
        (head[:40], []),
        (b"", []),
        (5 * (head + body), 5 * [b"202"]),
        (2_000 * page, 2_000 * [b"404"]),  # more than is parsed at once
    ):
        for delay in (None, 0, 0.002):  # the end is read with the request, or while it is answered
            assert await answers_before_the_end(school, sent, delay) == statuses
    await asyncio.sleep(0.5)  # what it still does for the last one
    assert (await post(school, event())).status_code == 202
    assert "Traceback" not in school.output()


async def answers_before_the_end(server: Replica, sent: bytes, delay: float | None) -> list[bytes]:
    """The statuses of all answers to a client that says `delay` s later that it sends no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    if delay is not None:
        await asyncio.sleep(delay)
    writer.write_eof()
    answers = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return re.findall(rb"HTTP/1\.1 (\d+)", answers)
