"""Background tasks: how a loop goes on after an error, and how tasks end."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from monitor.errors import Unavailable
from monitor.health import ComponentHealth

logger = logging.getLogger(__name__)

_RECANCEL_INTERVAL = 1.0  # seconds after which a task that is still there is cancelled again
_NOTABLE = 0.01  # seconds that a run takes which DEBUG tells of
_FIRST_BACKOFF = 0.05  # seconds; doubled after each further failure

Work = Callable[[], Awaitable[float | None]]


class Job:
    """Awaits `work` again and again in a task of its own; no error ends it.

    `work` returns the seconds until its next run (`math.inf`: when `wake` is called), or None for
    `interval`. After an error the job waits, at first 50 ms and twice as long each time, up to
    `max_backoff` seconds. An outage is logged once: as a warning when its error is one of
    `expected`, else with its traceback, and once more when the job works again.

    `failure` is the error of the latest run, as text; None when that run succeeded.
    """

    def __init__(
        self,
        name: str,
        work: Work,
        *,
        interval: float = math.inf,
        max_backoff: float = 2.0,
        expected: tuple[type[Exception], ...] = (Unavailable,),
    ) -> None:
        self.name = name
        self.failure: str | None = None
        self._work = work
        self._interval = interval
        self._max_backoff = max_backoff
        self._expected = expected
        self._backoff = _FIRST_BACKOFF
        self._unexpected_logged = False
        self._wanted = asyncio.Event()
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called: long `work` may check this, and return early."""
        return self._ending.is_set()

    def start(self) -> None:
        """Begins with a run at once."""
        self._ending.clear()
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self, timeout: float = 0.0) -> None:
        """Ends the task; the present run has `timeout` seconds to finish before it is cancelled."""
        self._ending.set()
        self._wanted.set()
        if self._task and timeout:
            await asyncio.wait([self._task], timeout=timeout)
        await cancel_and_wait(self._task)

    def wake(self) -> None:
        """Runs `work` now, or once more after the present run; does not shorten a back-off."""
        self._wanted.set()

    def health(self) -> ComponentHealth:
        """`down` when it does not run; `degraded` from a failure until a run succeeds."""
        if not self.running:
            return ComponentHealth("down", self.failure or f"{self.name} does not run")
        return ComponentHealth("degraded" if self.failure else "ok", self.failure)

    async def _run(self) -> None:
        while not self.stopping:
            self._wanted.clear()
            began = time.perf_counter()
            try:
                delay = await self._work()
            except self._expected as error:
                await self._fail(error)
            except asyncio.CancelledError as error:
                if self.stopping or is_cancelled():
                    raise
                await self._fail(error)  # something that `work` awaited was cancelled
            except Exception as error:  # noqa: BLE001 - logged; the next run may succeed
                await self._fail(error)
            else:
                self._succeed()
                if delay != 0 and (seconds := time.perf_counter() - began) >= _NOTABLE:
                    logger.debug("%s ran for %d ms", self.name, seconds * 1000)
                await _wait(self._wanted, self._interval if delay is None else delay)

    async def _fail(self, error: BaseException) -> None:
        is_expected = isinstance(error, self._expected)
        if not is_expected and not self._unexpected_logged:
            logger.error("%s failed and is tried again", self.name, exc_info=error)
            self._unexpected_logged = True
        elif self.failure is None:
            logger.warning("%s waits: %s", self.name, describe(error))
        else:
            logger.debug("%s failed again: %s", self.name, describe(error))
        self.failure = describe(error)
        backoff, self._backoff = self._backoff, min(2 * self._backoff, self._max_backoff)
        await _wait(self._ending, backoff)

    def _succeed(self) -> None:
        if self.failure is not None:
            logger.info("%s works again", self.name)
        self.failure = None
        self._backoff = _FIRST_BACKOFF
        self._unexpected_logged = False


def remaining(deadline: float) -> float:
    """Seconds until a deadline of the event loop's clock; at least half of one, to end in order."""
    return max(0.5, deadline - asyncio.get_running_loop().time())


def describe(error: BaseException) -> str:
    """An error's message; the name of its type when it has none."""
    return str(error) or type(error).__name__


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Returns when the event is set, or after `seconds`, which may be infinite."""
    if seconds <= 0:
        await asyncio.sleep(0)  # what a timeout of 0 would do, but cheaper
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(None if seconds == math.inf else seconds):
            await event.wait()


def is_cancelled() -> bool:
    """Whether this task is to end. If not, a CancelledError is of something that it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def cancel_and_wait(*tasks: asyncio.Task[None] | None) -> None:
    """Cancels tasks until they have ended.

    Once is not always enough: where a connection breaks at that moment, its error takes the place
    of the cancellation, and the task goes on.
    """
    pending = {task for task in tasks if task}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_RECANCEL_INTERVAL)
