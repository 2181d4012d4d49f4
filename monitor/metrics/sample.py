"""What takes time to know: read in the background, at most so often, and never waited for long."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from monitor.database.errors import DATABASE_ERRORS
from monitor.errors import Unavailable
from monitor.tasks import describe

logger = logging.getLogger(__name__)

T = TypeVar("T")

_STOP_TIMEOUT = 1.0  # seconds


class Sample(Generic[T]):
    """The latest result of `read`, at most `max_age` seconds old; None while it isn't known.

    A read that hangs is not cancelled by who waits for it, and no second one is begun meanwhile.
    """

    def __init__(self, name: str, read: Callable[[], Awaitable[T]], max_age: float) -> None:
        self.name = name
        self._read = read
        self._max_age = max_age
        self._value: T | None = None
        self._read_at = 0.0  # of the event loop's clock
        self._failure = ""
        self._task: asyncio.Task[None] | None = None

    async def get(self, timeout: float) -> T | None:
        """Waits at most `timeout` seconds for a new one."""
        now = asyncio.get_running_loop().time()
        if self._value is not None and now < self._read_at + self._max_age:
            return self._value
        if self._task is None or self._task.done():
            self._value = None
            self._task = asyncio.create_task(self._renew(), name=f"Reading {self.name}")
        await asyncio.wait([self._task], timeout=timeout)
        return self._value

    async def stop(self) -> None:
        """Cancels a read, and waits for its end, but not long: it may hang."""
        if self._task and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_STOP_TIMEOUT)

    async def _renew(self) -> None:
        try:
            self._value = await self._read()
        except (Unavailable, *DATABASE_ERRORS) as error:
            self._note(describe(error))
        else:
            self._failure = ""
            self._read_at = asyncio.get_running_loop().time()

    def _note(self, failure: str) -> None:
        """Logs a failure once, until a read succeeds."""
        if not self._failure:
            logger.warning("Metrics lack %s: %s", self.name, failure)
        self._failure = failure
