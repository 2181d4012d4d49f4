"""Consumers: take a batch, store it, answer its requests, publish what is new."""

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from monitor.durations import Durations
from monitor.errors import SpoolFull, Unavailable
from monitor.health import ConsumersHealth
from monitor.pipeline.apart import LARGE, Apart
from monitor.pipeline.ledger import Ledger
from monitor.pipeline.postgres import Stored
from monitor.pipeline.queue import EventQueue, PendingRequest, Receipt
from monitor.pipeline.spool.drain import SpoolDrain
from monitor.pipeline.store import Store, StoreInterrupted, source_of
from monitor.tasks import Job

logger = logging.getLogger(__name__)

# A batch that waited long in the queue gets this long to commit: slow is not unavailable.
_MIN_COMMIT_TIMEOUT = 1.0  # seconds
# A slow batch takes longer than this, in seconds, and for each event: three times what is usual.
_SLOW_BATCH, _SLOW_EVENT = 0.1, 150e-6
_MANY = 100  # events of one credential, which more than half of a slow batch are
_MAX_APART_WAIT = 15.0  # seconds in the line of a slow source, after which its client tries again
_MAX_BACKOFF = 0.05  # seconds after a batch that failed: the queue must not fill up meanwhile


class Limits(NamedTuple):
    """How large a batch grows, how long it waits to grow, how long an event may wait (s)."""

    max_events: int
    linger: float
    timeout: float


class Consumers:
    """`count` tasks that store the queue's requests in PostgreSQL or, while it is down, the spool.

    `publish` is called with what was committed, after the requests have been answered. `commits`
    are the durations of batches that PostgreSQL has committed. `spooled` counts items of requests
    that were spooled instead, by the reason: PostgreSQL is `away`, or `slow` for their source.
    """

    name = "consumers"

    def __init__(
        self,
        *,
        queue: EventQueue,
        store: Store,
        drain: SpoolDrain,
        ledger: Ledger,
        publish: Callable[[list[Stored]], None],
        limits: Limits,
        count: int = 2,
    ) -> None:
        self._queue = queue
        self._store = store
        self._drain = drain
        self._ledger = ledger
        self._publish = publish
        self._limits = limits
        self.commits = Durations()
        self.spooled = Counter({"away": 0, "slow": 0})
        self._jobs = [
            Job(f"Consumer {number}", self._consume, max_backoff=_MAX_BACKOFF)
            for number in range(1, count + 1)
        ]
        self._apart = Apart()
        self._apart_job = Job("Storing apart", self._store_apart, max_backoff=_MAX_BACKOFF)

    async def start(self) -> None:
        for job in (*self._jobs, self._apart_job):
            job.start()

    async def health(self) -> ConsumersHealth:
        count, alive = len(self._jobs), sum(job.running for job in self._jobs)
        if alive == count:
            return ConsumersHealth("ok", alive=alive)
        error = f"{alive} of {count} consumers run: restart the server"
        return ConsumersHealth("degraded" if alive else "down", error, alive=alive)

    async def stop(self, deadline: float) -> None:
        """Cancels the tasks. To drain the queue, wait for that first."""
        await asyncio.gather(*(job.stop() for job in (*self._jobs, self._apart_job)))
        for request in self._apart.clear():
            self._refuse([request], Unavailable("The server is stopping"))
            self._queue.release(request)

    async def _consume(self) -> float:
        """Stores one batch. Returns 0: the next one is wanted at once."""
        taken = await self._queue.take(self._limits.max_events, self._limits.linger)
        batch = self._apart.divert(taken)
        if len(batch) < len(taken):
            self._apart_job.wake()
        if batch:
            await self._serve(batch)
        return 0.0

    async def _store_apart(self) -> float | None:
        """Stores one request that is large or of a slow source, beside the others' batches."""
        request = self._apart.next()
        if request is None:
            return None
        waited = asyncio.get_running_loop().time() - request.arrived
        if waited > _MAX_APART_WAIT and not self._drain.active:
            self._refuse([request], Unavailable("Too much waits from where your events come from"))
            self._queue.release(request)
        else:
            await self._serve([request])
        return 0.0

    async def _serve(self, batch: list[PendingRequest]) -> None:
        """Stores or spools the requests, answers them, and publishes what was committed."""
        try:
            stored = await self._store_and_answer(batch)
        except BaseException:  # also a cancellation: the clients retry
            self._refuse(batch, Unavailable("The events could not be stored"))
            raise
        finally:
            for request in batch:
                self._queue.release(request)
        self._publish(stored)

    async def _store_and_answer(self, batch: list[PendingRequest]) -> list[Stored]:
        """Returns the committed parts to publish."""
        committed: list[Stored] = []
        if not self._drain.active:
            try:
                return await self._commit(batch)
            except StoreInterrupted as error:
                self._drain.activate(error)
                committed = error.stored
        try:
            await self._spool(batch, "away")
        except SpoolFull as error:
            self._refuse(batch, error)
            return committed
        return []  # the drain stores the whole batch again, and publishes it then

    async def _commit(self, batch: list[PendingRequest]) -> list[Stored]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        deadline = max(batch[0].arrived + self._limits.timeout, began + _MIN_COMMIT_TIMEOUT)
        payloads = [request.payload for request in batch]
        # A large request is stored in parts: between them it is the turn of others.
        step = LARGE if batch[0].count > LARGE else sys.maxsize
        result = await self._store.put_or_isolate(payloads, deadline, step)
        for request, receipt in zip(batch, result.receipts, strict=True):
            if receipt is not None:
                request.answer(receipt)
                self._ledger.add(receipt)
        elapsed = loop.time() - began
        self.commits.observe(elapsed)
        logger.debug("Stored %d requests in %.1f ms", len(batch), elapsed * 1000)
        if elapsed > _SLOW_BATCH and elapsed > _SLOW_BATCH + _SLOW_EVENT * sum(map(len, batch)):
            self._apart.isolate(_heaviest(batch))
        if result.left:
            left = [batch[position] for position in result.left]
            self._apart.isolate(left)
            await self._spool_left(left)
        return result.stored

    async def _spool_left(self, left: list[PendingRequest]) -> None:
        """Spools what PostgreSQL does not store in time, though it stores the others' events."""
        try:
            await self._spool(left, "slow")
        except SpoolFull as error:
            self._refuse(left, error)

    async def _spool(self, batch: list[PendingRequest], reason: str) -> None:
        """Raises SpoolFull."""
        await self._drain.take([request.payload for request in batch])
        logger.debug("Spooled %d requests: PostgreSQL is %s", len(batch), reason)
        for request in batch:
            payload = request.payload
            request.answer(Receipt(spooled=len(payload.events), rejected=payload.rejected))
            self.spooled[reason] += len(payload)

    def _refuse(self, batch: list[PendingRequest], error: Unavailable) -> None:
        for request in batch:
            self._queue.received -= len(request)
            request.answer(error)


def _heaviest(batch: list[PendingRequest]) -> list[PendingRequest]:
    """The requests of the credential that most of the events, and many, were sent with."""
    events = Counter[str]()
    for request in batch:
        if request.payload.events and request.payload.events[0].source.credential:
            events[source_of(request.payload)] += len(request)
    for source, count in events.most_common(1):
        if count > _MANY and 2 * count > events.total():
            return [each for each in batch if source_of(each.payload) == source]
    return []
