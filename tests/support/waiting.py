"""How a test waits: for something that happens in its own time, and for the clock."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, TypeVar, overload

T = TypeVar("T")

_INTERVAL = 0.05  # seconds between two looks


@overload
async def eventually(
    probe: Callable[[], Awaitable[T]], holds: Callable[[T], Any] = ..., *, within: float = ...
) -> T: ...
@overload
async def eventually(
    probe: Callable[[], T], holds: Callable[[T], Any] = ..., *, within: float = ...
) -> T: ...
async def eventually(
    probe: Callable[[], Any],
    holds: Callable[[Any], Any] = bool,
    *,
    within: float = 15.0,
) -> Any:
    """Call `probe`, which may be asynchronous, until `holds` accepts its value; return that value.

    `within` is in seconds. Raises AssertionError, which shows the last value, once it is over.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        value = probe()
        if isawaitable(value):
            value = await value
        if holds(value):
            return value
        assert loop.time() < deadline, f"after {within:g} s it is still {value!r}"
        await asyncio.sleep(_INTERVAL)


async def within_one_interval(interval: int, *, room: float) -> None:
    """Wait for the next interval of the clock if less than `room` of this one is left; in s."""
    left = interval - time.time() % interval
    if left < room:
        await asyncio.sleep(left)
