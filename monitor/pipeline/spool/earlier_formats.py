"""Spools of the formats 0 to 2, which were SQLite's files: their entries are moved."""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from errno import ENOSPC
from itertools import islice
from pathlib import Path
from typing import Any, Self

import msgspec

from monitor.errors import SpoolError

NAME = "spool.sqlite"

_LAST_FORMAT = 2
_BATCH_BYTES = 4 * 1024 * 1024
_SPAN = 1000  # ids that are read at once
_MAX_IDS = 100_000_000  # a damaged page may name more


class EarlierSpool:
    """One that no server uses, while its context lasts; reading changes nothing.

    It is read around damaged pages: a range of ids that can't be read is halved. `is_damaged` says
    that there were any so far. `replica` is the id in the ledger; empty if it can't be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._format = _LAST_FORMAT
        self.is_damaged = False
        self.replica = ""

    def __enter__(self) -> Self:
        """Raises SpoolError if a server uses it or a newer version wrote it, and OSError."""
        self._connection = sqlite3.connect(self._path, timeout=0, isolation_level=None)
        try:
            self._rows("PRAGMA locking_mode = EXCLUSIVE")
            self._check_format()
            self._rows("BEGIN EXCLUSIVE")
            rows = self._rows("SELECT id FROM replica")
        except BaseException:
            self._connection.close()
            raise
        self.replica = str(rows[0][0]) if rows else ""
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def batches(self, skip: int) -> Iterator[list[tuple[int, bytes]]]:
        """The number of items and the body of each entry that can be read, after the first `skip`.

        Raises OSError.
        """
        batch: list[tuple[int, bytes]] = []
        size = 0
        for entry in islice(self._entries(), skip, None):
            batch.append(entry)
            size += len(entry[1])
            if size > _BATCH_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _check_format(self) -> None:
        if rows := self._rows("PRAGMA user_version"):
            self._format = rows[0][0]
        if self._format > _LAST_FORMAT:
            raise SpoolError(
                f"{self._path} was written by a newer version: its format is {self._format}, and"
                f" this one reads up to {_LAST_FORMAT}. Start that version again until it has"
                " drained the spool, or set another DATA_DIR"
            )

    def _entries(self) -> Iterator[tuple[int, bytes]]:
        bounds = self._rows("SELECT min(id), max(id) FROM spooled")
        if not bounds:  # a page between these may be damaged
            bounds = self._rows("SELECT 1, seq FROM sqlite_sequence WHERE name = 'spooled'")
        first, last = bounds[0] if bounds else (None, None)
        spans = list(_spans(first, min(last, first + _MAX_IDS))) if isinstance(last, int) else []
        while spans:
            first, last = spans.pop()
            rows = self._rows(_SELECT, first, last)
            if rows is None and first < last:
                middle = (first + last) // 2
                spans += [(middle + 1, last), (first, middle)]
            for items, body in rows or ():
                if _is_plausible(items, body):
                    yield items, _renewed(body) if self._format < _LAST_FORMAT else body
                else:
                    self.is_damaged = True

    def _rows(self, sql: str, *arguments: int) -> list[tuple[Any, ...]] | None:
        """None if a page of them is damaged, or there is no such table."""
        try:
            return self._connection.execute(sql, arguments).fetchall()
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise SpoolError(
                    f"Another server is using {self._path}: stop it, or set another DATA_DIR"
                ) from None
            if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN):
                raise OSError(ENOSPC, f"{self._path} can't be read now: {error}") from error
            if code != sqlite3.SQLITE_ERROR:  # a table is missing where nothing was spooled yet
                self.is_damaged = True
            return None


def _spans(first: int, last: int) -> Iterator[tuple[int, int]]:
    """The ids in ranges of a thousand; the last range first."""
    for start in reversed(range(first, last + 1, _SPAN)):
        yield start, min(start + _SPAN - 1, last)


def _is_plausible(items: object, body: object) -> bool:
    """These formats have no checksums; an item takes more than a byte."""
    return isinstance(items, int) and isinstance(body, bytes) and 0 < items <= len(body)


def _renewed(body: bytes) -> bytes:
    """Up to format 1 an event had the class of the key that it was sent with as `class_id`."""
    with suppress(msgspec.MsgspecError, TypeError, AttributeError, ValueError):  # kept as it is
        events, rejected = msgspec.msgpack.decode(body)
        for event in events:
            event["source"] = [None, event.pop("class_id", None)]
        return msgspec.msgpack.encode([events, rejected])
    return body


_SELECT = "SELECT events, body FROM spooled WHERE id BETWEEN ? AND ? ORDER BY id"
