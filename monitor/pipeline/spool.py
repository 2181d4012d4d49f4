"""The local disk that holds events while PostgreSQL can't take them."""

import asyncio
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

import msgspec

from monitor.errors import SpoolError, SpoolFull
from monitor.events import Items

T = TypeVar("T")

_PAGE = 4096  # bytes
_RESERVE = 64 * 1024 * 1024  # bytes of the disk: to remove events takes some, too
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Items).decode


class Chunk(NamedTuple):
    """The oldest of what is spooled, and up to which row it reaches."""

    parcels: list[Items]
    last: int


class Spool:
    """A bounded queue on disk, in SQLite, whose calls return once their work survives a crash.

    One thread does all of it, so that the event loop never waits for the disk.
    """

    def __init__(
        self, directory: Path, connection: sqlite3.Connection, thread: ThreadPoolExecutor
    ) -> None:
        self._directory = directory
        self._connection = connection
        self._thread = thread
        (replica,) = connection.execute("SELECT id FROM replica").fetchone()
        self.replica = uuid.UUID(replica)
        (self.events,) = connection.execute("SELECT ifnull(sum(events), 0) FROM spooled").fetchone()
        self.failure: str | None = None

    @classmethod
    def open(cls, directory: Path, max_bytes: int) -> Self:
        """The spool of a DATA_DIR, which belongs to this process until it is closed.

        Raises SpoolError when another one has it, or when it can't be read.
        """
        path = directory / "spool.sqlite"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                path, timeout=0, isolation_level=None, check_same_thread=False
            )
            path.chmod(0o600)
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute(f"PRAGMA page_size = {_PAGE}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA max_page_count = {max(16, max_bytes // _PAGE)}")
            connection.executescript(_SCHEMA)
            connection.execute("INSERT OR IGNORE INTO replica VALUES (1, ?)", [str(uuid.uuid4())])
            return cls(directory, connection, ThreadPoolExecutor(1, "spool"))
        except (sqlite3.Error, OSError) as error:
            if "locked" in str(error):
                raise SpoolError(
                    f"Another server is using {path}: stop it, or set another DATA_DIR"
                ) from None
            raise SpoolError(
                f"{path} can't be used: {error}. Mend that, or set another DATA_DIR; "
                "moving the file away loses the events in it"
            ) from None

    async def close(self) -> None:
        await self._run(self._connection.close)
        self._thread.shutdown()

    async def append(self, parcels: Sequence[Items]) -> None:
        """Raises SpoolFull when the bound is reached or the disk is full; nothing is kept then."""
        if shutil.disk_usage(self._directory).free < _RESERVE:
            self.failure = f"Less than {_RESERVE} bytes are free in {self._directory}"
            raise SpoolFull(f"The spool can't take more: {self.failure}")
        rows = [(len(parcel), _encode(parcel)) for parcel in parcels]
        try:
            await self._run(partial(self._append, rows))
        except sqlite3.Error as error:
            self.failure = str(error)
            raise SpoolFull(f"The spool can't take more: {error}") from error
        self.failure = None
        self.events += sum(count for count, _ in rows)

    async def oldest(self, max_events: int, max_bytes: int) -> Chunk:
        """At least one parcel, if there is any."""
        rows = await self._run(partial(self._oldest, max_events, max_bytes))
        return Chunk([_decode(body) for _, body in rows], rows[-1][0] if rows else 0)

    async def remove(self, chunk: Chunk) -> None:
        await self._run(partial(self._remove, chunk.last))
        self.failure = None
        self.events -= sum(map(len, chunk.parcels))

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _append(self, rows: list[tuple[int, bytes]]) -> None:
        with self._connection as connection:
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO spooled (events, body) VALUES (?, ?)", rows)

    def _oldest(self, max_events: int, max_bytes: int) -> list[tuple[int, bytes]]:
        rows: list[tuple[int, bytes]] = []
        events = size = 0
        for row, count, body in self._connection.execute(
            "SELECT id, events, body FROM spooled ORDER BY id"
        ):
            events += count
            size += len(body)
            if rows and (events > max_events or size > max_bytes):
                break
            rows.append((row, body))
        return rows

    def _remove(self, last: int) -> None:
        self._connection.execute("DELETE FROM spooled WHERE id <= ?", [last])
        empty = self._connection.execute("SELECT 1 FROM spooled LIMIT 1").fetchone() is None
        if empty:
            with suppress(sqlite3.Error):  # a full disk gets its space back another time
                self._connection.execute("VACUUM")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


_SCHEMA = """
    CREATE TABLE IF NOT EXISTS replica (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS spooled (
        id     INTEGER PRIMARY KEY AUTOINCREMENT,
        events INTEGER NOT NULL,
        body   BLOB NOT NULL  -- Items in MessagePack
    );
"""
