"""The journal of a spool's file: what of it is settled, lost and damaged, and where it ends.

Records of 32 bytes are appended: a kind, a CRC-32 of the rest, and a range of two numbers. A record
that is damaged is passed over: what it says to be settled is stored again, as duplicates.
"""

import os
import struct
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from monitor.pipeline.spool.files import sync
from monitor.pipeline.spool.frames import read

_RECORD = struct.Struct("<IIQQ8x")
_RANGE = struct.Struct("<IQQ")
_MAX_BYTES = 64 * 1024 * 1024


class Kind(IntEnum):
    """What the range of a record means."""

    SETTLED = 1  # these items are stored, or are dead letters
    LOST = 2  # these items could not be read; they are dead letters
    DAMAGED = 3  # bytes of the file, from an offset to before another
    END = 4  # the file is complete: the range is empty, at the number after its last item


class Record(NamedTuple):
    kind: Kind
    first: int
    end: int


class Journal:
    """The journal at `path`, made with its first record."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pending: list[bytes] = []

    def records(self) -> list[Record]:
        """Those that are on disk and intact. Raises OSError."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return []
        try:
            data, _ = read(descriptor, 0, _MAX_BYTES)
        finally:
            os.close(descriptor)
        usable = len(data) - len(data) % _RECORD.size
        return [
            Record(Kind(kind), first, end)
            for kind, checksum, first, end in _RECORD.iter_unpack(data[:usable])
            if checksum == crc32(_RANGE.pack(kind, first, end))
        ]

    def add(self, kind: Kind, first: int, end: int) -> None:
        """Notes a record, which `flush` writes."""
        self._pending.append(_encode(kind, first, end))

    def flush(self) -> None:
        """Returns once all records are on disk. After an OSError the next call tries again."""
        if not self._pending:
            return
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            os.pwrite(descriptor, b"".join(self._pending), size - size % _RECORD.size)
            sync(descriptor)
        finally:
            os.close(descriptor)
        self._pending = []

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def move(self, path: Path) -> None:
        if self.path.exists():
            self.path.replace(path)
        self.path = path


def _encode(kind: Kind, first: int, end: int) -> bytes:
    return _RECORD.pack(kind, crc32(_RANGE.pack(kind, first, end)), first, end)
