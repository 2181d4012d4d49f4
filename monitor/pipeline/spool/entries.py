"""The spool: requests on the local disk while PostgreSQL is unavailable."""

import asyncio
import logging
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from errno import EIO, EROFS
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Self, TypeVar

from monitor.errors import SpoolError, SpoolFull
from monitor.events.event import Payload
from monitor.pipeline.spool.home import Home
from monitor.pipeline.spool.payloads import encode, payload_of
from monitor.pipeline.spool.segment import Entry
from monitor.pipeline.spool.segments import DISK_FULL, Damage

logger = logging.getLogger(__name__)

T = TypeVar("T")

_RESERVED_BYTES = 64 * 1024 * 1024  # left free on the disk for what else DATA_DIR holds


class Entries(NamedTuple):
    """Entries of the spool, each the payload of a request; the oldest first.

    `lost` counts the items of an entry that could not be read: they are dead letters.
    """

    ids: list[int]
    payloads: list[Payload]
    lost: Mapping[int, int] = MappingProxyType({})

    @property
    def items(self) -> int:
        """The events and the dead letters in all of them."""
        return sum(map(len, self.payloads))


class Spool:
    """A bounded queue on disk, in DATA_DIR, whose calls return once their work survives a crash.

    One thread does all the work, so that the event loop never waits for the disk.

    `events` counts the items in it, `inherited` those that earlier processes left; `failure` says
    why it could not be written to, until it can. `replica` is a random id made with the spool: it
    names this DATA_DIR in the ledger.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._segments = home.segments
        self._thread = ThreadPoolExecutor(1, "spool")
        self.replica = home.replica
        self.events = self.inherited = 0
        self.failure: str | None = None

    @classmethod
    def open(cls, directory: Path, max_bytes: int) -> Self:
        """The spool of a DATA_DIR, locked by this process until it is closed.

        If its disk is full or fails, the spool says so (`failure`), and `check` tries again. Raises
        SpoolError if another process has it, if a newer version wrote it, or if it can't be used.
        """
        home = Home(directory, max_bytes)
        failure = None
        try:
            home.prepare()
        except OSError as error:
            if error.errno not in (*DISK_FULL, EIO, EROFS):
                home.close()
                raise SpoolError(
                    f"{directory} can't be used: {error}. Fix that, or set another DATA_DIR; "
                    "moving it away loses the events that are spooled in it"
                ) from None
            failure = _reason(directory, error)
        except BaseException:
            home.close()
            raise
        spool = cls(home)
        try:
            _check_free_space(directory)
            if failure is None:
                home.segments.probe()
        except OSError as error:
            failure = failure or _reason(directory, error)
        spool.failure = failure
        spool.events = spool.inherited = home.segments.items
        return spool

    @property
    def damage(self) -> Damage:
        """What of it could not be read."""
        return self._segments.damage

    async def close(self) -> None:
        """Waits for the work in hand, and unlocks the DATA_DIR."""
        try:
            await self._run(self._home.close)
        except OSError as error:
            logger.warning("Where the spool ends could not be recorded: %s", error)
        self._thread.shutdown()

    async def append(self, payloads: Sequence[Payload]) -> None:
        """Raises SpoolFull if the bound is reached or the disk is full; nothing is kept then."""
        rows = [(len(payload), encode(payload)) for payload in payloads]
        await self._write(partial(self._segments.append, rows))
        self.events += sum(count for count, _ in rows)

    async def oldest(
        self, max_events: int, max_bytes: int, skip: Collection[int] = frozenset()
    ) -> Entries:
        """The oldest entries within these bounds (one at least), skipping some ids."""
        found = await self._run(partial(self._segments.oldest, max_events, max_bytes, skip))
        if not found and not skip:  # damage that comes and goes may have confused the counts
            self.events = self._segments.items
        return _entries(found)

    async def get(self, entry_id: int) -> Entries:
        """The entry with this id; none if it can't be told from its neighbours any more."""
        entry = await self._run(partial(self._segments.get, entry_id))
        return _entries([entry] if entry else [])

    async def remove(self, entries: Entries) -> None:
        """Removes these entries. Until that can be recorded, another process has them, too."""
        items = dict(zip(entries.ids, map(len, entries.payloads), strict=True))
        try:
            await self._run(partial(self._segments.settle, items, entries.lost))
        except OSError as error:
            logger.warning("What was stored out of the spool could not be recorded: %s", error)
        self.events -= entries.items
        if entries.lost:
            files = ", ".join(str(path) for path in self.damage.files)
            logger.error(
                "%d items of the spool could not be read: see %s", sum(entries.lost.values()), files
            )

    async def replace(self, entry: Entries, payloads: Sequence[Payload]) -> list[int]:
        """Replaces an entry by others of as many items, at the end of the queue; their ids.

        Raises SpoolFull; the entry stays then.
        """
        rows = [(len(payload), encode(payload)) for payload in payloads]
        ids = await self._write(partial(self._segments.append, rows, bounded=False))
        self.events += entry.items
        await self.remove(entry)
        return ids

    async def check(self) -> None:
        """Updates `failure`, by writing and removing what an entry takes."""
        with suppress(SpoolFull):
            await self._write(self._segments.probe)

    async def _write(self, work: Callable[[], T]) -> T:
        """Raises SpoolFull."""
        try:
            if not self._home.is_prepared:
                await self._prepare()
            _check_free_space(self._home.directory)
            result = await self._run(work)
        except OSError as error:
            self.failure = _reason(self._home.directory, error)
            raise SpoolFull(self.failure) from error
        self.failure = None
        return result

    async def _prepare(self) -> None:
        try:
            await self._run(self._home.prepare)
        finally:
            new = self._segments.items - self.events
            self.events += new
            self.inherited += new

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _entries(entries: Sequence[Entry]) -> Entries:
    payloads, lost = [], {}
    for entry in entries:
        payload, count = payload_of(entry)
        payloads.append(payload)
        if count:
            lost[entry.number] = count
    return Entries([entry.number for entry in entries], payloads, lost)


def _reason(directory: Path, error: OSError) -> str:
    return f"The spool in {directory} can't take more: {error}"


def _check_free_space(directory: Path) -> None:
    if shutil.disk_usage(directory).free < _RESERVED_BYTES:
        raise OSError(f"less than {_RESERVED_BYTES} bytes are free in {directory}")
