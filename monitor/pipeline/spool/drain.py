"""Spools events while PostgreSQL is unavailable, and drains the spool afterwards."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from monitor.database.errors import MISCONFIGURED_ERRORS
from monitor.errors import SpoolFull, Unavailable
from monitor.events.event import Payload
from monitor.health import ComponentHealth
from monitor.pipeline.ledger import Ledger
from monitor.pipeline.postgres import Stored
from monitor.pipeline.spool.entries import Entries, Spool
from monitor.pipeline.spool.quarantine import Quarantine
from monitor.pipeline.store import Store
from monitor.tasks import Job

logger = logging.getLogger(__name__)

_MAX_EVENTS = 4_000  # in one batch
_MAX_BYTES = 8 * 1024 * 1024  # in one batch
_COMMIT_TIMEOUT = 5.0  # seconds for a batch: longer than for requests, since none waits for it
_MAX_COMMIT_TIMEOUT = 20.0  # seconds, reached by doubling after each failure
_MAX_BACKOFF = 1.0  # seconds between two attempts
_REMINDER_INTERVAL = 60.0  # seconds between two lines of the log


class SpoolDrain:
    """Takes events that PostgreSQL can't, and stores them, in order, when it can again.

    `probe` returns once PostgreSQL is usable, or raises Unavailable. `publish` is called with what
    was stored. While `active`, PostgreSQL counts as unavailable (`reason` says why), and
    consumers spool events without trying it: until it has stored a batch, or answers the probe and
    there is nothing to store, or nothing that can be read. `drained` counts the items that were
    stored.
    """

    name = "spool_drain"

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
        self._batch_events = _MAX_EVENTS
        self._timeout = _COMMIT_TIMEOUT
        self._job = Job("Draining the spool", self._work, max_backoff=_MAX_BACKOFF)
        self._remind_at = 0.0
        self.active = False
        self.reason = ""
        self.drained = 0

    async def start(self) -> None:
        self._job.start()

    async def stop(self, deadline: float) -> None:
        """Cancels the present batch: its entries stay in the spool."""
        await self._job.stop()

    async def health(self) -> ComponentHealth:
        return self._job.health()

    def activate(self, reason: Exception) -> None:
        """Makes events go to the spool until PostgreSQL is usable again; `reason` says why."""
        if not self.active:
            logger.warning("Events go to the spool: %s", reason)
        self.active, self.reason = True, str(reason)
        self._job.wake()

    async def take(self, batch: Sequence[Payload]) -> None:
        """Returns when the batch is on disk. Raises SpoolFull."""
        await self._spool.append(batch)
        self._job.wake()

    async def _work(self) -> float | None:
        """Returns 0 if there is more to do, None to wait until it is woken."""
        if self._spool.failure:
            await self._spool.check()
        if self.active:
            await self._probe_or_report()
        if self._spool.events:
            await self._drain()
        else:
            self._deactivate()
        if self._spool.failure:
            raise SpoolFull(self._spool.failure)  # it is checked again after a pause
        return 0 if self.active or self._spool.events else None

    async def _probe_or_report(self) -> None:
        try:
            await self._probe()
        except Unavailable as error:
            if str(error) != self.reason:
                logger.warning("Events still go to the spool: %s", error)
                self.reason = str(error)
            self._remind(error)
            raise

    def _remind(self, error: Exception) -> None:
        """Says again and again what somebody has to change: that does not end by itself."""
        now = asyncio.get_running_loop().time()
        if isinstance(error.__cause__, MISCONFIGURED_ERRORS) and now >= self._remind_at:
            self._remind_at = now + _REMINDER_INTERVAL
            logger.error("Nothing is stored until this is changed: %s", error)

    def _deactivate(self) -> None:
        if self.active:
            logger.info("PostgreSQL is available again, %d events are spooled", self._spool.events)
        self.active = False

    async def _drain(self) -> None:
        entries = await self._next_entries()
        if not entries.ids:
            return
        if len(entries.ids) == 1 and entries.ids[0] in self._quarantine.quarantined:
            await self._store_one(entries)
        elif len(entries.ids) == 1:
            await self._store_one_or_another(entries)
        else:
            await self._store_several(entries)
        self._batch_events = min(2 * self._batch_events, _MAX_EVENTS)

    async def _next_entries(self) -> Entries:
        """The next ones to store; where none can be read, PostgreSQL is not the cause."""
        quarantined = self._quarantine.quarantined
        try:
            entries = await self._spool.oldest(self._batch_events, _MAX_BYTES, skip=quarantined)
            if entries.ids:
                return entries
            if not quarantined and self._spool.events:
                raise Unavailable("The disk fails to read the spool: it is tried again")  # noqa: TRY301
            if not quarantined:
                return entries
            entry_id = self._quarantine.next()
            entries = await self._spool.get(entry_id)
        except Exception:  # whatever the spool fails by, PostgreSQL takes new events
            self._deactivate()
            raise
        if not entries.ids:  # its place was damaged since, and is read as another entry
            self._quarantine.forget([entry_id])
        return entries

    async def _store_several(self, entries: Entries) -> None:
        try:
            await self._store_all(entries)
        except Exception:  # a slow PostgreSQL may manage a smaller batch
            self._batch_events = max(1, entries.items // 2)
            raise

    async def _store_one_or_another(self, entry: Entries) -> None:
        """If a later entry succeeds, the failing entry itself is at fault."""
        try:
            await self._store_one(entry)
        except Exception:  # any, as for `record_failure`: only another entry tells the cause
            self._batch_events = 1
            another = await self._spool.oldest(1, _MAX_BYTES, skip=self._quarantine.failed)
            if another.ids:
                await self._store_one(another)
            raise

    async def _store_one(self, entry: Entries) -> None:
        try:
            await self._store_all(entry)
        except Exception as error:
            await self._quarantine.record_failure(entry, error)
            raise

    async def _store_all(self, entries: Entries) -> None:
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            result = await self._store.put(entries.payloads, deadline)
        except Unavailable:
            self._timeout = min(2 * self._timeout, _MAX_COMMIT_TIMEOUT)
            raise
        self._timeout = _COMMIT_TIMEOUT
        self._deactivate()  # before removing: a full disk is not PostgreSQL's failure
        self._quarantine.forget(entries.ids)
        await self._spool.remove(entries)
        for receipt in filter(None, result.receipts):
            self._ledger.add(receipt)
        self.drained += entries.items
        self._publish(result.stored)
