import asyncio
import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from monitor.auth.call import Call
from monitor.auth.permissions import Permission
from monitor.errors import OverLimit, TooLarge, Unavailable
from monitor.http.body import BodyReader, BrokenGzip

Receive = Callable[[], Awaitable[dict[str, Any]]]
SCOPE: dict[str, Any] = {"headers": [], "call": Call(Permission(), host="192.0.2.1")}
OTHER = SCOPE | {"call": Call(Permission(), host="192.0.2.2")}
GZIP = SCOPE | {"headers": [(b"content-encoding", b"gzip")]}


def chunks(*parts: bytes, end: asyncio.Event | None = None) -> Receive:
    """A body in parts; the last one comes when `end` is set."""
    left = list(parts)

    async def receive() -> dict[str, Any]:
        if len(left) == 1 and end:
            await end.wait()
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    return receive


async def test_bodies_that_come_slowly_are_held_up_to_a_bound() -> None:
    bodies, end = BodyReader(100, 150), asyncio.Event()
    slow = [
        asyncio.create_task(bodies.read(scope, chunks(b"x" * 70, b"y", end=end)))
        for scope in (SCOPE, OTHER)
    ]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="bytes of requests"):
        await bodies.read(SCOPE, chunks(b"x" * 20, b"y"))
    end.set()
    assert await asyncio.gather(*slow) == [b"x" * 70 + b"y"] * 2
    assert await bodies.read(SCOPE, chunks(b"x" * 99, b"y")) == b"x" * 99 + b"y"


async def test_bodies_of_one_caller_leave_room_for_those_of_others() -> None:
    bodies, end = BodyReader(100, 250), asyncio.Event()
    slow = asyncio.create_task(bodies.read(SCOPE, chunks(b"x" * 99, b"y", end=end)))
    await asyncio.sleep(0)
    with pytest.raises(OverLimit, match="At most 125 bytes of requests"):
        await bodies.read(SCOPE, chunks(b"x" * 30, b"y"))
    assert await bodies.read(OTHER, chunks(b"x" * 99, b"y")) == b"x" * 99 + b"y"
    end.set()
    await slow
    assert bodies.held.held == 0
    assert bodies.held.refused == 1


async def test_what_was_refused_is_held_no_more() -> None:
    bodies = BodyReader(100, 150)
    for _ in range(5):
        with pytest.raises(TooLarge):
            await bodies.read(SCOPE, chunks(b"x" * 90, b"y" * 11))
        with pytest.raises(BrokenGzip):
            await bodies.read(GZIP, chunks(b"x" * 90))
        with pytest.raises(TooLarge):
            await bodies.read(GZIP, chunks(gzip.compress(b"x" * 101)))
    assert await bodies.read(GZIP, chunks(gzip.compress(b"x" * 100))) == b"x" * 100
