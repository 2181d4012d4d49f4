"""Background jobs: how they go on after errors, what they log, and how they end."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from monitor.errors import Unavailable
from monitor.tasks import Job, cancel_and_wait

FOREVER = 3600.0


class Runs:
    """Work that does what it is given for each run, and nothing from then on."""

    def __init__(self, *results: float | Exception | None) -> None:
        self._results = list(results)
        self.times: list[float] = []
        self._ran = asyncio.Condition()

    async def __call__(self) -> float | None:
        self.times.append(asyncio.get_running_loop().time())
        async with self._ran:
            self._ran.notify_all()
        result = self._results.pop(0) if self._results else math.inf
        if isinstance(result, BaseException):
            raise result
        return result

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(10), self._ran:
            await self._ran.wait_for(lambda: len(self.times) >= count)

    @property
    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]


@asynccontextmanager
async def running(
    work: Callable[[], Awaitable[float | None]],
    interval: float = math.inf,
    max_backoff: float = 2.0,
) -> AsyncIterator[Job]:
    job = Job("The test", work, interval=interval, max_backoff=max_backoff)
    job.start()
    try:
        yield job
    finally:
        async with asyncio.timeout(10):
            await job.stop()
        assert not job.running


async def test_a_job_runs_at_once_and_then_at_its_interval() -> None:
    runs = Runs(None, None, None)
    async with running(runs, interval=0.02):
        await runs.reach(4)
    assert min(runs.gaps) >= 0.019


async def test_work_says_when_it_is_wanted_again() -> None:
    runs = Runs(0.0, 0.0, 0.0)
    async with running(runs, interval=FOREVER):
        await runs.reach(4)


async def test_a_wake_cuts_a_wait_short() -> None:
    runs = Runs(FOREVER, math.inf)
    async with running(runs) as job:
        for count in (1, 2):
            await runs.reach(count)
            job.wake()
        await runs.reach(3)


async def test_a_wake_during_a_run_leads_to_one_more_run() -> None:
    count = 0

    async def work() -> None:
        nonlocal count
        count += 1
        if count == 1:
            job.wake()
            job.wake()

    async with running(work, interval=FOREVER) as job:
        await asyncio.sleep(0.05)
        assert count == 2


async def test_job_back_off_grows_despite_wakes() -> None:
    runs = Runs(*[Unavailable("away")] * 5)
    async with running(runs, max_backoff=0.2) as job:
        while len(runs.times) < 6:
            job.wake()
            await asyncio.sleep(0.005)
    for gap, backoff in zip(runs.gaps, (0.05, 0.1, 0.2, 0.2, 0.2), strict=True):
        assert backoff * 0.98 <= gap


async def test_a_success_resets_the_back_off() -> None:
    runs = Runs(*[Unavailable("away")] * 3, 0.0, Unavailable("away"))
    async with running(runs):
        await runs.reach(6)
    assert runs.gaps[4] < 0.38  # it would be 0.4


async def test_an_outage_is_logged_once_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    runs = Runs(*[Unavailable("away")] * 3, 0.0, Unavailable("away once more"))
    async with running(runs) as job:
        await runs.reach(3)
        assert job.failure == "away"
        await runs.reach(6)
        assert job.failure is None
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "The test waits: away"),
        ("INFO", "The test works again"),
        ("WARNING", "The test waits: away once more"),
        ("INFO", "The test works again"),
    ]


async def test_unexpected_error_logs_traceback_during_outage(
    caplog: pytest.LogCaptureFixture,
) -> None:
    errors = [Unavailable("away"), KeyError("fault"), KeyError("fault"), Unavailable("away")]
    runs = Runs(*errors)
    async with running(runs) as job:
        await runs.reach(3)
        assert job.failure == "'fault'"
        await runs.reach(5)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert caplog.records[1].exc_info


async def test_an_error_without_a_message_is_named() -> None:
    runs = Runs(TimeoutError())
    async with running(runs) as job:
        await runs.reach(1)
        await asyncio.sleep(0)
        assert job.failure == "TimeoutError"


async def test_a_cancellation_inside_the_work_does_not_end_the_job() -> None:
    runs = Runs()

    async def work() -> float | None:
        await runs()
        if len(runs.times) == 1:
            other = asyncio.create_task(asyncio.sleep(FOREVER))
            other.cancel()
            await other
        return None

    async with running(work) as job:
        await runs.reach(2)
        assert job.running


async def test_a_stop_lets_the_present_run_finish_within_its_time() -> None:
    finished = False

    async def work() -> None:
        nonlocal finished
        await asyncio.sleep(0.05)
        finished = True

    job = Job("The test", work)
    job.start()
    await asyncio.sleep(0)
    await job.stop(10)
    assert finished
    assert not job.running


@pytest.mark.parametrize("timeout", [0.0, 0.05])
async def test_a_stop_cancels_what_takes_longer(timeout: float) -> None:
    job = Job("The test", asyncio.Event().wait)
    job.start()
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await job.stop(timeout)
    assert not job.running


async def test_a_stop_does_not_wait_for_a_back_off() -> None:
    runs = Runs(*[Unavailable("away")] * 100)
    job = Job("The test", runs, max_backoff=FOREVER)
    job.start()
    await runs.reach(3)
    async with asyncio.timeout(10):
        await job.stop(FOREVER)
    assert not job.running


async def test_a_job_that_never_started_can_be_stopped() -> None:
    await Job("The test", Runs()).stop(1.0)


async def test_a_task_that_loses_its_cancellation_is_cancelled_again() -> None:
    lost = 0

    async def work() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Future()
            except asyncio.CancelledError:
                lost += 1
                if lost > 1:
                    raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await cancel_and_wait(None, task)
    assert task.cancelled()
