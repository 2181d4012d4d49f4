"""What stands in while PostgreSQL is away: the spool, until it has been drained again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from monitor.errors import SpoolFull, Unavailable
from monitor.events.event import Payload
from monitor.pipeline.ledger import Ledger
from monitor.pipeline.postgres import Stored
from monitor.pipeline.spool.entries import Chunk, Spool
from monitor.pipeline.spool.quarantine import Quarantine
from monitor.pipeline.store import Outcome, Store
from monitor.tasks import cancel_and_wait

logger = logging.getLogger(__name__)

_CHUNK_EVENTS = 4_000
_CHUNK_BYTES = 8 * 1024 * 1024
_PATIENCE = 5.0  # seconds for a chunk: nobody waits for it
_MOST_PATIENCE = 20.0  # seconds, where that was not enough
_LONGEST_PAUSE = 1.0  # seconds between two looks at whether PostgreSQL is back


class SpoolDrain:
    """Takes what PostgreSQL can't, and brings it in, in order, when PostgreSQL is back.

    `probe` succeeds once PostgreSQL is fit for use, or raises Unavailable.
    """

    def __init__(
        self,
        spool: Spool,
        store: Store,
        ledger: Ledger,
        probe: Callable[[], Awaitable[None]],
        publish: Callable[[list[Stored]], None],
    ) -> None:
        self._spool = spool
        self._store = store
        self._ledger = ledger
        self._probe = probe
        self._publish = publish
        self._quarantine = Quarantine(spool, store)
        self._chunk_events = _CHUNK_EVENTS
        self._patience = _PATIENCE
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.active = False  # PostgreSQL is away: nobody need try it
        self.reason = ""

    def start(self) -> None:
        if self._spool.events:
            self._wanted.set()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        await cancel_and_wait(self._task)

    def activate(self, reason: Exception) -> None:
        if not self.active:
            logger.warning("Events go to the spool: %s", reason)
        self.active, self.reason = True, str(reason)
        self._wanted.set()

    async def take(self, batch: Sequence[Payload]) -> None:
        """Returns once the batch is on disk. Raises SpoolFull."""
        await self._spool.append(batch)
        self._wanted.set()

    async def _run(self) -> None:
        pause = 0.05
        while True:
            await self._wanted.wait()
            try:
                await self._bring_in()
                pause = 0.05
            except Unavailable:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except Exception:  # whatever it is, what is spooled must come in some day
                logger.exception("The spool could not be drained")
                await asyncio.sleep(_LONGEST_PAUSE)

    async def _bring_in(self) -> None:
        if self._spool.failure:
            await self._spool.look()
        if self.active:
            await self._probe_or_report()
        if self._spool.events:
            await self._drain()
        else:
            self._deactivate()
        if self._spool.failure:
            raise SpoolFull(self._spool.failure)  # it will be looked at again
        if not self.active and not self._spool.events:
            self._wanted.clear()

    async def _probe_or_report(self) -> None:
        try:
            await self._probe()
        except Unavailable as error:
            if str(error) != self.reason:
                logger.warning("Events still go to the spool: %s", error)
                self.reason = str(error)
            raise

    def _deactivate(self) -> None:
        if self.active:
            logger.info("PostgreSQL takes events again, %d are spooled", self._spool.events)
        self.active = False

    async def _drain(self) -> None:
        aside = self._quarantine.aside
        chunk = await self._spool.oldest(self._chunk_events, _CHUNK_BYTES, aside)
        if not chunk.parcels:
            return await self._store_one(await self._spool.one(self._quarantine.next()))
        if len(chunk.parcels) == 1:
            await self._store_one_or_another(chunk)
        else:
            await self._store_several(chunk)
        self._chunk_events = min(2 * self._chunk_events, _CHUNK_EVENTS)
        return None

    async def _store_several(self, chunk: Chunk) -> None:
        try:
            await self._store_all(chunk)
        except Unavailable:  # a PostgreSQL that is slow may take less
            self._chunk_events = max(1, sum(map(len, chunk.parcels)) // 2)
            raise

    async def _store_one_or_another(self, chunk: Chunk) -> None:
        """Whether a parcel that fails is to blame shows when a later one is stored."""
        try:
            await self._store_one(chunk)
        except Unavailable:
            self._chunk_events = 1
            another = await self._spool.oldest(1, _CHUNK_BYTES, self._quarantine.failed)
            if another.parcels:
                await self._store_one(another)
            raise

    async def _store_one(self, chunk: Chunk) -> None:
        try:
            await self._store_all(chunk)
        except Unavailable as error:
            await self._quarantine.blame(chunk, error)
            raise

    async def _store_all(self, chunk: Chunk) -> None:
        outcome = Outcome()
        deadline = asyncio.get_running_loop().time() + self._patience
        try:
            receipts = await self._store.put(chunk.parcels, outcome, deadline)
        except Unavailable:
            self._patience = min(2 * self._patience, _MOST_PATIENCE)
            raise
        self._patience = _PATIENCE
        self._deactivate()  # whatever the disk says to removing it
        self._quarantine.stored(chunk)
        await self._spool.remove(chunk)
        for receipt in receipts:
            self._ledger.add(receipt)
        self._publish(outcome.stored)
