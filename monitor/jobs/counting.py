"""Counts what batches bring, so that no question has to scan the events."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from monitor.database.pool import Database
from monitor.errors import Unavailable
from monitor.tasks import cancel_and_wait

logger = logging.getLogger(__name__)

_PERIOD = 1.0  # seconds after which batches are counted even if nobody asks
_PUT_OFF = 30.0  # the same while storing has no time to spare: counting many at once costs less
_MOST = 200  # batches counted in one transaction
_TIMEOUT = 120.0  # seconds for one transaction; after a bulk load a batch may be large


class Counting:
    """Keeps the counters (see `sql/0001_first_version.sql`) up to date.

    `busy` says whether storing has no time to spare, and counting had better wait.
    """

    def __init__(self, database: Database, busy: Callable[[], bool]) -> None:
        self._database = database
        self._busy = busy
        self._task: asyncio.Task[None] | None = None
        self._asked = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        await cancel_and_wait(self._task)
        self._answer(self._waiting, Unavailable("The server is stopping"))

    async def catch_up(self) -> None:
        """Returns when all that was committed before has been counted.

        Those who ask at the same time share the work. Raises Unavailable.
        """
        if self._task is None or self._task.done():
            raise Unavailable("Batches are not counted now")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._asked.set()
        await waiter

    async def _run(self) -> None:
        counted_at = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PERIOD):
                    await self._asked.wait()
            put_off = self._busy() and time.monotonic() < counted_at + _PUT_OFF
            if self._waiting or not put_off:
                await self._count_for_all()
                counted_at = time.monotonic()

    async def _count_for_all(self) -> None:
        self._asked.clear()
        waiting, self._waiting = self._waiting, []
        try:
            await self._count()
            self._answer(waiting)
        except Unavailable as error:
            logger.warning("Batches could not be counted: %s", error)
            self._answer(waiting, error)
        except Exception as error:  # it goes on: the next batches are to be counted
            logger.exception("Batches could not be counted")
            self._answer(waiting, error)
        finally:
            self._answer(waiting, Unavailable("The server is stopping"))

    async def _count(self) -> None:
        async with self._database.connection() as connection:
            while await connection.fetchval(_COUNT_BATCHES, _MOST, timeout=_TIMEOUT):
                pass

    @staticmethod
    def _answer(waiting: list[asyncio.Future[None]], error: Exception | None = None) -> None:
        for waiter in waiting:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)


_COUNT_BATCHES = "SELECT count_batches($1)"
