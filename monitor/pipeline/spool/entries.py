"""The local disk that holds events while PostgreSQL can't take them."""

import asyncio
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import msgspec

from monitor.errors import SpoolError, SpoolFull
from monitor.events.event import Payload, Rejected

T = TypeVar("T")

_PAGE = 4096  # bytes
_RESERVE = 64 * 1024 * 1024  # bytes of the disk: to remove events takes some, too
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Payload).decode


class Chunk(NamedTuple):
    """Parcels of the spool, the oldest first, and the rows that hold them."""

    parcels: list[Payload]
    rows: list[int]


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

    async def append(self, parcels: Sequence[Payload]) -> None:
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

    async def oldest(
        self, max_events: int, max_bytes: int, but: Collection[int] = frozenset()
    ) -> Chunk:
        """At least one parcel, if there is any `but` in those rows."""
        found = await self._run(partial(self._oldest, max_events, max_bytes, but))
        return Chunk([_parcel(count, body) for _, count, body in found], [row for row, *_ in found])

    async def one(self, row: int) -> Chunk:
        """The parcel in that row."""
        count, body = await self._run(partial(self._one, row))
        return Chunk([_parcel(count, body)], [row])

    async def remove(self, chunk: Chunk) -> None:
        await self._run(partial(self._remove, chunk.rows))
        self.failure = None
        self.events -= sum(map(len, chunk.parcels))

    async def replace(self, row: int, parcels: Sequence[Payload]) -> list[int]:
        """Puts these at the end in place of what is in that row; the rows that hold them now."""
        rows = [(len(parcel), _encode(parcel)) for parcel in parcels]
        return await self._run(partial(self._replace, row, rows))

    async def look(self) -> None:
        """Whether what failed before would still fail: `failure` tells."""
        with suppress(SpoolFull):
            await self.append([])

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _append(self, rows: list[tuple[int, bytes]]) -> None:
        with self._connection as connection:
            connection.execute("BEGIN")
            if not rows:  # a trial, of what an event takes
                connection.execute(_INSERT, (0, bytes(2 * _PAGE)))
                connection.execute("DELETE FROM spooled WHERE events = 0")
            connection.executemany(_INSERT, rows)

    def _replace(self, row: int, rows: list[tuple[int, bytes]]) -> list[int]:
        with self._connection as connection:
            connection.execute("BEGIN")
            connection.execute("DELETE FROM spooled WHERE id = ?", [row])
            return [connection.execute(_INSERT, each).lastrowid or 0 for each in rows]

    def _one(self, row: int) -> tuple[int, bytes]:
        found: tuple[int, bytes] = self._connection.execute(
            "SELECT events, body FROM spooled WHERE id = ?", [row]
        ).fetchone()
        return found

    def _oldest(
        self, max_events: int, max_bytes: int, but: Collection[int]
    ) -> list[tuple[int, int, bytes]]:
        rows: list[tuple[int, int, bytes]] = []
        events = size = 0
        for row, count, body in self._connection.execute(
            "SELECT id, events, body FROM spooled ORDER BY id"
        ):
            if row in but:
                continue
            events += count
            size += len(body)
            if rows and (events > max_events or size > max_bytes):
                break
            rows.append((row, count, body))
        return rows

    def _remove(self, rows: list[int]) -> None:
        with self._connection as connection:
            connection.execute("BEGIN")
            connection.executemany("DELETE FROM spooled WHERE id = ?", [(row,) for row in rows])
        with suppress(sqlite3.Error):  # a full disk gets its space back another time
            if self._connection.execute("SELECT 1 FROM spooled LIMIT 1").fetchone() is None:
                self._connection.execute("VACUUM")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _parcel(count: int, body: bytes) -> Payload:
    """What is in a row; as dead letters, where another version has left what is not understood."""
    reason = "The spool holds it in a form that can't be read"
    try:
        if len(parcel := _decode(body)) == count:
            return parcel
    except msgspec.MsgspecError as error:
        reason += f": {error}"
    letters = [Rejected(index, "", reason, raw) for index, raw in enumerate(_raw(count, body))]
    return Payload([], letters)


def _raw(count: int, body: bytes) -> list[str]:
    with suppress(msgspec.MsgspecError, TypeError):
        items = chain.from_iterable(msgspec.msgpack.decode(body, type=list[list[Any]]))
        if len(found := [msgspec.json.encode(item).decode() for item in items]) == count:
            return found
    return [body.hex(), *[""] * (count - 1)]


_INSERT = "INSERT INTO spooled (events, body) VALUES (?, ?)"
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS replica (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS spooled (
        id     INTEGER PRIMARY KEY AUTOINCREMENT,
        events INTEGER NOT NULL,
        body   BLOB NOT NULL  -- Payload in MessagePack
    );
"""
