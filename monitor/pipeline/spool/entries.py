"""The spool: requests on the local disk while PostgreSQL is unavailable."""

import asyncio
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import msgspec

from monitor.errors import SpoolError, SpoolFull
from monitor.events.event import Payload, Rejected, Source

T = TypeVar("T")

_PAGE_BYTES = 4096
_RESERVED_BYTES = 64 * 1024 * 1024  # left free on the disk: removing entries takes space, too
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Payload).decode


class Entries(NamedTuple):
    """Entries of the spool, each the payload of a request; the oldest first."""

    ids: list[int]
    payloads: list[Payload]

    @property
    def items(self) -> int:
        """The events and the dead letters in all of them."""
        return sum(map(len, self.payloads))


class Spool:
    """A bounded queue on disk, in SQLite, whose calls return once their work survives a crash.

    One thread does all the work, so that the event loop never waits for the disk.

    `events` counts the items in it; `failure` says why it could not be written to, until it can.
    `replica` is a random id made with the spool: it names this DATA_DIR in the ledger.
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
        """The spool of a DATA_DIR, locked by this process until it is closed.

        Raises SpoolError if another process has it, if a newer version wrote it, or if it can't be
        read.
        """
        path = directory / "spool.sqlite"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                path, timeout=0, isolation_level=None, check_same_thread=False
            )
            path.chmod(0o600)
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            _check_format(connection, path)
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA max_page_count = {max(16, max_bytes // _PAGE_BYTES)}")
            _upgrade(connection)
            return cls(directory, connection, ThreadPoolExecutor(1, "spool"))
        except (sqlite3.Error, OSError) as error:
            if "locked" in str(error):
                raise SpoolError(
                    f"Another server is using {path}: stop it, or set another DATA_DIR"
                ) from None
            raise SpoolError(
                f"{path} can't be used: {error}. Fix that, or set another DATA_DIR; "
                "moving the file away loses the events in it"
            ) from None

    async def close(self) -> None:
        """Waits for the work in hand, and unlocks the DATA_DIR."""
        await self._run(self._connection.close)
        self._thread.shutdown()

    async def append(self, payloads: Sequence[Payload]) -> None:
        """Raises SpoolFull if the bound is reached or the disk is full; nothing is kept then."""
        rows = [(len(payload), _encode(payload)) for payload in payloads]
        try:
            _check_free_space(self._directory)
            await self._run(partial(self._append, rows))
        except (sqlite3.Error, OSError) as error:
            self.failure = str(error)
            raise SpoolFull(f"The spool can't take more: {error}") from error
        self.failure = None
        self.events += sum(count for count, _ in rows)

    async def oldest(
        self, max_events: int, max_bytes: int, skip: Collection[int] = frozenset()
    ) -> Entries:
        """The oldest entries within these bounds (one at least), skipping some ids."""
        rows = await self._run(partial(self._oldest, max_events, max_bytes, skip))
        return Entries([row[0] for row in rows], [_payload(*row[1:]) for row in rows])

    async def get(self, entry_id: int) -> Entries:
        """The entry with this id."""
        return Entries([entry_id], [_payload(*await self._run(partial(self._get, entry_id)))])

    async def remove(self, entries: Entries) -> None:
        """Removes these entries, or none and raises sqlite3.Error."""
        await self._run(partial(self._remove, entries.ids))
        self.failure = None
        self.events -= entries.items

    async def replace(self, entry_id: int, payloads: Sequence[Payload]) -> list[int]:
        """Replaces an entry by others, at the end of the queue; their ids."""
        rows = [(len(payload), _encode(payload)) for payload in payloads]
        return await self._run(partial(self._replace, entry_id, rows))

    async def check(self) -> None:
        """Updates `failure`, by writing and removing what an entry takes."""
        with suppress(SpoolFull):
            await self.append([])

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _append(self, rows: list[tuple[int, bytes]]) -> None:
        with self._connection as connection:
            connection.execute("BEGIN")
            if not rows:  # a check: as much as an event takes
                connection.execute(_INSERT, (0, bytes(2 * _PAGE_BYTES)))
                connection.execute("DELETE FROM spooled WHERE events = 0")
            connection.executemany(_INSERT, rows)

    def _replace(self, entry_id: int, rows: list[tuple[int, bytes]]) -> list[int]:
        with self._connection as connection:
            connection.execute("BEGIN")
            connection.execute("DELETE FROM spooled WHERE id = ?", [entry_id])
            return [connection.execute(_INSERT, row).lastrowid or 0 for row in rows]

    def _get(self, entry_id: int) -> tuple[int, bytes]:
        row: tuple[int, bytes] = self._connection.execute(
            "SELECT events, body FROM spooled WHERE id = ?", [entry_id]
        ).fetchone()
        return row

    def _oldest(
        self, max_events: int, max_bytes: int, skip: Collection[int]
    ) -> list[tuple[int, int, bytes]]:
        rows: list[tuple[int, int, bytes]] = []
        events = size = 0
        for entry_id, count, body in self._connection.execute(
            "SELECT id, events, body FROM spooled ORDER BY id"
        ):
            if entry_id in skip:
                continue
            events += count
            size += len(body)
            if rows and (events > max_events or size > max_bytes):
                break
            rows.append((entry_id, count, body))
        return rows

    def _remove(self, ids: list[int]) -> None:
        with self._connection as connection:
            connection.execute("BEGIN")
            connection.executemany("DELETE FROM spooled WHERE id = ?", [(each,) for each in ids])
        with suppress(sqlite3.Error):  # no space to vacuum: the next removal tries again
            if self._connection.execute("SELECT 1 FROM spooled LIMIT 1").fetchone() is None:
                self._connection.execute("VACUUM")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _check_free_space(directory: Path) -> None:
    if shutil.disk_usage(directory).free < _RESERVED_BYTES:
        raise OSError(f"less than {_RESERVED_BYTES} bytes are free in {directory}")


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    if number > _FORMAT:
        connection.close()
        raise SpoolError(
            f"{path} was written by a newer version: its format is {number}, and this one reads up "
            f"to {_FORMAT}. Start that version again until it has drained the spool, or set "
            "another DATA_DIR"
        )


def _upgrade(connection: sqlite3.Connection) -> None:
    """Applies the steps from the spool's format to _FORMAT, each in a transaction."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    for step in range(number, _FORMAT):
        with connection:
            connection.execute("BEGIN")
            _UPGRADES[step](connection)
            connection.execute(f"PRAGMA user_version = {step + 1}")
    connection.execute("INSERT OR IGNORE INTO replica VALUES (1, ?)", [str(uuid.uuid4())])


def _payload(count: int, body: bytes) -> Payload:
    """The payload of an entry; as dead letters, if it can't be decoded."""
    reason = "The spool holds it in a form that can't be read"
    try:
        if len(payload := _decode(body)) == count:
            for event in payload.events:
                event.source = _same(event.source)
            return payload
    except msgspec.MsgspecError as error:
        reason += f": {error}"
    letters = [Rejected(index, "", reason, raw) for index, raw in enumerate(_raw(count, body))]
    return Payload([], letters)


@lru_cache(4096)
def _same(source: Source) -> Source:
    """One object for equal sources: what is known of a student and a source is found by it."""
    return source


def _raw(count: int, body: bytes) -> list[str]:
    with suppress(msgspec.MsgspecError, TypeError):
        items = chain.from_iterable(msgspec.msgpack.decode(body, type=list[list[Any]]))
        if len(texts := [msgspec.json.encode(item).decode() for item in items]) == count:
            return texts
    return [body.hex(), *[""] * (count - 1)]


_INSERT = "INSERT INTO spooled (events, body) VALUES (?, ?)"


def _create_tables(connection: sqlite3.Connection) -> None:
    """Creates the tables; a file of commit 7cae75c has them, and the number 0 like a new one."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS replica"
        " (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL)"
    )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS spooled"
        " (id INTEGER PRIMARY KEY AUTOINCREMENT, events INTEGER NOT NULL, body BLOB NOT NULL)"
    )


def _name_sources(connection: sqlite3.Connection) -> None:
    """Until now an event had the class of the key that it was sent with as `class_id`."""
    for entry_id, body in connection.execute("SELECT id, body FROM spooled").fetchall():
        with suppress(msgspec.MsgspecError, TypeError, AttributeError):  # kept as it is
            events, rejected = msgspec.msgpack.decode(body)
            for event in events:
                class_id = event.pop("class_id", None)
                event["source"] = [None, class_id]
            changed = msgspec.msgpack.encode([events, rejected])
            connection.execute("UPDATE spooled SET body = ? WHERE id = ?", [changed, entry_id])


# A step for each change of the layout or of the encoding of entries; PRAGMA user_version counts
# them. `body` is a Payload in MessagePack.
_UPGRADES = (_create_tables, _name_sources)
_FORMAT = len(_UPGRADES)
