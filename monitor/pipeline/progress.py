"""Counts what batches bring, so that no question has to scan the events."""

import asyncio
import logging
import time

import asyncpg

from monitor.errors import Unavailable

logger = logging.getLogger(__name__)

_PERIOD = 1.0  # seconds after which batches are counted even if nobody asks
_SHARE = 0.05  # of the time is spent on it at most, then: many at once cost less
_MOST = 200  # batches counted in one transaction
_TIMEOUT = 120.0  # seconds for one transaction; after a bulk load a batch may be large


class Progress:
    """Keeps the tables of `sql/004_progress.sql` up to date; `error` is why it can't, if so."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._task: asyncio.Task[None] | None = None
        self._asked = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._answer(self._waiting, "The server is stopping")

    async def catch_up(self) -> None:
        """Returns when all that was committed before has been counted.

        Those who ask at the same time share the work. Raises Unavailable.
        """
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._asked.set()
        await waiter

    async def _run(self) -> None:
        while True:
            self._asked.clear()
            waiting, self._waiting = self._waiting, []
            start = time.monotonic()
            try:
                await self._count()
                self._answer(waiting)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
                logger.warning("Batches could not be counted: %s", reason)
                self._answer(waiting, f"PostgreSQL: {reason}")
            finally:
                self._answer(waiting, "The server is stopping")
            try:
                async with asyncio.timeout(max(_PERIOD, (time.monotonic() - start) / _SHARE)):
                    await self._asked.wait()
            except TimeoutError:
                continue

    async def _count(self) -> None:
        while await self._pool.fetchval(_COUNT_BATCHES, _MOST, timeout=_TIMEOUT):
            pass

    @staticmethod
    def _answer(waiting: list[asyncio.Future[None]], failure: str | None = None) -> None:
        for waiter in waiting:
            if waiter.done():
                continue
            if failure is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(Unavailable(failure))


_COUNT_BATCHES = "SELECT count_batches($1)"
