"""Calls that a person waits for go before bulk, which takes its time anyway."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

BULK = 16 * 1024  # bytes of a body, from which on it is bulk
_LONGEST = 0.1  # seconds for which bulk waits: calls that go on for ever must not stop it


class RightOfWay:
    """Lets bulk wait while calls are answered, as both share one event loop and PostgreSQL.

    A call needs a turn of the loop for each of its statements; beside bulk each turn takes as long
    as all the bodies that have arrived meanwhile.
    """

    def __init__(self) -> None:
        self._calls = 0
        self._clear = asyncio.Event()
        self._clear.set()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """The block answers a call."""
        self._calls += 1
        self._clear.clear()
        try:
            yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._clear.set()

    async def give(self) -> None:
        """Returns once no call is being answered, or after a tenth of a second."""
        if self._calls:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST):
                    await self._clear.wait()
