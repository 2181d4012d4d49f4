"""Workers: processes that do jobs on what people send, such as reading a notebook.

A job is a function from bytes to bytes. What makes it slow or large costs its worker, and waiting
for a worker is in turns by caller; one caller has one job done at a time, so that the others find a
free worker. Workers start when they are needed, import no part of the server but the job's module,
and end when they have had nothing to do for a while.
"""

import asyncio

from monitor.errors import Unavailable
from monitor.health import ComponentHealth
from monitor.shares import Turns
from monitor.tasks import describe
from monitor.workers.job import Job
from monitor.workers.worker import Worker

_AT_ONCE = 3  # workers: two callers whose jobs are slow leave one to the others
_EACH = 4  # jobs of one caller that are done or wait
_IDLE_TIMEOUT = 60.0  # seconds without a job until a worker ends


class Workers:
    """Has jobs done, in turns by caller. A component of the server that starts nothing by itself.

    `turns` counts how often a caller had too many jobs waiting.
    """

    name = "workers"

    def __init__(self) -> None:
        self.turns = Turns("jobs", at_once=_AT_ONCE, each=_EACH, each_at_once=1)
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []
        self._failure: str | None = None

    async def run(self, caller: str, job: Job, content: bytes | memoryview) -> bytes:
        """What the job returns, done for this caller.

        Raises TooCostly, OverLimit where the caller has too many jobs waiting, and Unavailable if
        the worker ended, which costs no other job.
        """
        async with self.turns.turn(caller):
            worker = self._take(job)
            try:
                answer = await worker.run(job, content)
            except Unavailable as error:
                self._failure = describe(error)
                raise
            finally:
                self._put_back(worker)
            self._failure = None
            return answer

    async def start(self) -> None:
        """Does nothing: the first job starts a worker."""

    async def stop(self, deadline: float) -> None:
        """Ends all workers. Their jobs, if any are left, raise Unavailable."""
        workers = list(self._workers)
        for worker in workers:
            self._end(worker)
        await asyncio.gather(*(worker.ended() for worker in workers))

    async def health(self) -> ComponentHealth:
        """Degraded from a worker that ended in the middle of a job until one does a job."""
        return ComponentHealth("degraded" if self._failure else "ok", self._failure)

    def _take(self, job: Job) -> Worker:
        """An idle worker, or a new one. Another is made ready for the next caller."""
        for worker in [each for each in self._idle if not each.is_usable]:
            self._end(worker)
        worker = self._idle.pop() if self._idle else self._new(job)
        worker.stay()
        if not self._idle and len(self._workers) < _AT_ONCE:
            self._put_back(self._new(job))
        return worker

    def _new(self, job: Job) -> Worker:
        worker = Worker(job.module)
        self._workers.add(worker)
        return worker

    def _put_back(self, worker: Worker) -> None:
        if worker.is_usable:
            self._idle.append(worker)
            worker.end_after(_IDLE_TIMEOUT, self._end)
        else:
            self._end(worker)

    def _end(self, worker: Worker) -> None:
        self._workers.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        worker.end()
