import asyncio
import gc
import re
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from monitor.http.protocol import HttpProtocol
from monitor.http.whole_answers import whole_answer

KEPT = ((b"content-type", b"application/json"), (b"x-kept", b"yes"))
OWN = (b"x-own", b"1")
BODY = b'{"a": 1}'
POST = b"POST / HTTP/1.1\r\nHost: server\r\nContent-Length: 2\r\n\r\n{}"

App = Callable[[Scope, Receive, Send], Awaitable[None]]


async def at_once(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    whole = whole_answer(scope)
    assert whole
    if not whole.send(202, KEPT, OWN, BODY):
        await in_parts(scope, receive, send)


async def in_parts(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [*KEPT, (b"content-length", b"%d" % len(BODY)), OWN]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


async def answers(app: App, requests: bytes, wait: float = 0.1) -> tuple[bytes, bool]:
    """What a client reads that sends these, and whether the connection stays open."""
    config = uvicorn.Config(app, access_log=False, log_config=None)
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"now")]
    loop = asyncio.get_running_loop()
    async with await loop.create_server(
        lambda: HttpProtocol(config, state, {}), "127.0.0.1", 0
    ) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(requests)
        await asyncio.sleep(wait)
        is_open = bool(state.connections)
        writer.write_eof()
        received = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await writer.wait_closed()
    return received, is_open


def parsed(answer: bytes) -> tuple[bytes, set[bytes], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    return status, set(lines), body


async def test_a_whole_answer_is_as_uvicorn_would_send_it() -> None:
    ours, theirs = [(await answers(app, POST))[0] for app in (at_once, in_parts)]
    assert parsed(ours) == parsed(theirs)
    assert parsed(ours)[1] >= {b"date: now", b"content-length: 8", b"x-own: 1"}


async def test_pipelined_requests_are_answered_in_turn() -> None:
    received, is_open = await answers(at_once, POST * 5)
    assert len(re.findall(rb"HTTP/1.1 202 Accepted\r\n", received)) == 5
    assert received.count(BODY) == 5
    assert is_open


@pytest.mark.parametrize(
    "request_", [POST.replace(b"Host", b"Connection: close\r\nHost"), POST.replace(b"1.1", b"1.0")]
)
async def test_a_connection_that_is_to_be_closed_is_closed(request_: bytes) -> None:
    received, is_open = await answers(at_once, request_)
    assert b"connection: close" in received
    assert received.endswith(BODY)
    assert not is_open


async def test_a_malformed_header_is_never_sent() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        whole = whole_answer(scope)
        assert whole
        with pytest.raises(ValueError, match="can't be sent"):
            whole.send(202, ((b"x-kept", b"a\r\nx-injected: b"),), OWN, BODY)
        await in_parts(scope, receive, send)

    received, _ = await answers(app, POST)
    assert b"injected" not in received


async def unauthorised(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers before the body has arrived."""
    await send(
        {"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]}
    )
    await send({"type": "http.response.body", "body": b""})


async def unread(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers more than the kernel takes."""
    body = bytes(24 * 1024 * 1024)
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


HEAD = b"POST / HTTP/1.1\r\nHost: server\r\nContent-Length: 2\r\n\r\n"


@pytest.mark.parametrize(
    ("app", "sent"),
    [
        (at_once, [POST]),
        (at_once, [POST, b"\r\n"]),
        (unauthorised, [HEAD, b"{}"]),
        (unread, [POST]),
    ],
)
async def test_a_connection_without_a_request_is_closed(app: App, sent: list[bytes]) -> None:
    config = uvicorn.Config(app, access_log=False, log_config=None, timeout_keep_alive=1)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()

    async with await loop.create_server(
        lambda: HttpProtocol(config, state, {}), "127.0.0.1", 0
    ) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=1)
        for part in sent:
            writer.write(part)
            await asyncio.sleep(0.05)
        (connection,) = state.connections
        assert isinstance(connection, HttpProtocol)
        connection.expire(1)
        assert not connection.transport.is_closing()
        for _ in range(6):
            await asyncio.sleep(0.6)
            connection.expire(1)
        assert not state.connections
        writer.transport.abort()


@asynccontextmanager
async def answered() -> AsyncIterator[tuple[HttpProtocol, StreamReader, StreamWriter]]:
    """A connection that has had its answer, and that only `expire` closes."""
    config = uvicorn.Config(at_once, access_log=False, log_config=None, timeout_keep_alive=0)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()

    async with await loop.create_server(
        lambda: HttpProtocol(config, state, {}), "127.0.0.1", 0
    ) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(POST)
        await asyncio.wait_for(reader.readuntil(BODY), 5)
        (connection,) = state.connections
        assert isinstance(connection, HttpProtocol)
        yield connection, reader, writer
        writer.transport.abort()


async def test_a_request_that_could_not_be_read_yet_is_answered() -> None:
    async with answered() as (connection, reader, writer):
        writer.write(POST)
        connection.expire(1)  # before the loop looks what has arrived
        await asyncio.wait_for(reader.readuntil(BODY), 5)
        connection.expire(1)
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_unread_bytes_keep_no_connection_for_ever() -> None:
    """As a stream of empty lines, which begin no request."""
    async with answered() as (connection, reader, writer):
        connection.idle_since = asyncio.get_running_loop().time() - 10
        writer.write(b"\r\n")
        connection.expire(1)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await asyncio.wait_for(reader.readexactly(1), 5)


async def test_requests_leave_nothing_for_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        for app in (at_once, in_parts, unauthorised):
            await answers(app, POST * 20)
        left = [each for each in gc.get_objects() if isinstance(each, RequestResponseCycle)]
        assert len(left) <= 3  # a connection has its last one until it is gone
    finally:
        gc.enable()


async def test_a_half_closed_client_gets_its_answers() -> None:
    async def later(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.1)
        await at_once(scope, receive, send)

    received, _ = await answers(later, POST * 3, wait=0)
    assert received.count(BODY) == 3


async def test_a_client_that_does_not_read_is_left_to_uvicorn() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        whole = whole_answer(scope)
        assert whole
        cycle = whole._cycle()
        assert cycle
        cycle.flow.pause_writing()
        assert not whole.send(202, KEPT, OWN, BODY)
        cycle.flow.resume_writing()
        await in_parts(scope, receive, send)

    received, _ = await answers(app, POST)
    assert received.count(BODY) == 1
