"""Attacks by WebSockets, and by connections that do what no client does."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.chaos.extension import encoded, event
from tests.noisy.attacker import Attacker
from tests.noisy.school import ATTACKER

CHANNEL = f"progress:{ATTACKER}"
FRAMES = 2_000  # subscriptions in a row
BATCH = 500  # events
OWN_EVENTS = 10_000  # in the history, before it is asked for
DRIP = 0.5  # seconds between two bytes of a slow head


async def old_since(attacker: Attacker) -> None:
    """Subscribes to their own channel again and again, each time from long ago."""
    async with _socket(attacker) as socket:
        since = json.loads(await socket.recv())["id"]
    for _ in range(OWN_EVENTS // BATCH):
        await attacker.post(_own_events())
    subscribe = {"action": "subscribe", "channels": [CHANNEL], "since": since}
    await attacker.repeat(lambda: _send(attacker, [json.dumps(subscribe)] * FRAMES), at_once=2)


async def commands(attacker: Attacker) -> None:
    """Commands that have to be looked up: all that a frame can name."""
    names = [f"progress:nobody-{number}" for number in range(1_000)]
    frames = [
        json.dumps({"action": "subscribe", "channels": names}),
        json.dumps({"action": "presence", "channels": [CHANNEL] * 1_000}),
        json.dumps({"action": "unsubscribe", "channels": names}),
        json.dumps({"action": "ping"}),
    ]
    await attacker.repeat(lambda: _send(attacker, frames * 250), at_once=8)


async def unread_sockets(attacker: Attacker) -> None:
    """As many sockets as one may have, of which none is read while there is much to send."""

    async def hold() -> None:
        async with _socket(attacker):
            attacker.outcomes["connected"] += 1
            await asyncio.sleep(20)

    async def post() -> None:
        await attacker.post(_own_events())

    await _together(attacker.repeat(hold, at_once=150), attacker.repeat(post, at_once=2))


async def slow_heads(attacker: Attacker) -> None:
    """Hundreds of requests whose heads arrive byte by byte."""

    async def once() -> None:
        with await attacker.connect() as connection:
            reading = asyncio.create_task(connection.reader.read())
            for byte in attacker.head("GET", "/api/v1/classes"):
                connection.writer.write(bytes([byte]))
                await asyncio.wait([reading], timeout=DRIP)
                if reading.done():
                    break
            attacker.outcomes["closed"] += 1
            reading.cancel()

    await attacker.repeat(once, at_once=500)


async def anonymous_flood(attacker: Attacker) -> None:
    """Calls without a credential, from the school's address, as fast as they can be answered."""
    calls = _calls("Accept: */*")

    async def once() -> None:
        with await attacker.connect() as connection:
            while True:
                connection.writer.write(b"".join(calls))
                for _ in calls:
                    head = await connection.reader.readuntil(b"\r\n\r\n")
                    attacker.outcomes[head[9:12].decode()] += 1
                    length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
                    await connection.reader.readexactly(int(length))

    await attacker.repeat(once, at_once=32)


async def pipelined(attacker: Attacker) -> None:
    """Calls on one connection that wait for no answer, which is read slowly."""
    calls = b"".join(_calls(f"Authorization: Bearer {attacker.target.bearer}") * 50)

    async def once() -> None:
        with await attacker.connect() as connection:
            while not connection.reader.at_eof():
                connection.writer.write(calls)
                await connection.writer.drain()
                answers = await connection.reader.read(4_096)
                attacker.outcomes["200"] += answers.count(b"HTTP/1.1 200")

    await attacker.repeat(once, at_once=8)


async def tiny_chunks(attacker: Attacker) -> None:
    """Bodies in chunks of one byte."""
    head = attacker.head(
        "POST", "/api/v1/events", "Transfer-Encoding: chunked", "Content-Type: application/json"
    )
    body = head + b"1\r\n[\r\n" + b"1\r\n \r\n" * 1_000_000 + b"1\r\n]\r\n0\r\n\r\n"

    async def once() -> None:
        with await attacker.connect() as connection:
            connection.writer.write(body)
            answer = await connection.reader.readuntil(b"\r\n\r\n")
            attacker.outcomes[answer[9:12].decode()] += 1

    await attacker.repeat(once, at_once=8)


async def pings(attacker: Attacker) -> None:
    """Pings of the WebSocket protocol, which are answered before any command."""
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    head = attacker.head(
        *("GET", "/ws", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
        *(key, f"Sec-WebSocket-Protocol: cell-monitor, bearer.{attacker.target.bearer}"),
    )
    frames = b"\x89\x80\0\0\0\0" * 10_000  # masked, empty

    async def once() -> None:
        with await attacker.connect() as connection:
            connection.writer.write(head)
            await connection.reader.readuntil(b"\r\n\r\n")
            while not connection.reader.at_eof():
                connection.writer.write(frames)
                await connection.writer.drain()
                attacker.outcomes["pongs"] += (await connection.reader.read(65_536)).count(b"\x8a")

    await attacker.repeat(once, at_once=8)


def _calls(field: str) -> list[bytes]:
    tail = f" HTTP/1.1\r\nHost: localhost\r\n{field}\r\n"
    paths = ("GET /api/v1/classes", "GET /api/v1/health", "GET /")
    calls = [f"{path}{tail}\r\n" for path in paths]
    calls.append(f"POST /api/v1/events{tail}Content-Length: 2\r\n\r\n[]")
    return [call.encode() for call in calls]


async def _send(attacker: Attacker, frames: list[str]) -> None:
    """Opens a socket, sends the frames and reads answers meanwhile, until as many have come."""
    async with _socket(attacker) as socket:

        async def read() -> None:
            answered = 0
            async for text in socket:
                message = json.loads(text)
                if message["event"] != "execution_update":
                    attacker.outcomes[message["event"]] += 1
                    answered += 1
                if answered > len(frames):  # with the answer to the connection itself
                    return

        reading = asyncio.create_task(read())
        try:
            for frame in frames:
                await socket.send(frame)
            await reading
        finally:
            reading.cancel()


async def _together(*coroutines: Any) -> None:
    async with asyncio.TaskGroup() as tasks:
        for each in coroutines:
            tasks.create_task(each)


@asynccontextmanager
async def _socket(attacker: Attacker) -> AsyncIterator[ClientConnection]:
    """On the attacker's own channel."""
    url = f"ws://127.0.0.1:{attacker.target.port}/ws?channels={CHANNEL}"
    offered: Any = ["cell-monitor", f"bearer.{attacker.target.bearer}"]
    async with connect(
        url, proxy=None, subprotocols=offered, max_queue=4, close_timeout=1, open_timeout=30
    ) as socket:
        yield socket


def _own_events() -> bytes:
    return encoded([event(ATTACKER) | {"result": None} for _ in range(BATCH)])
