"""The format of the spool's files: frames with checksums, which are found again after damage.

A file is a row of frames, one for each request; numbers are little-endian:

    marker (16 bytes)   of this spool: random, so that no request contains it
    number (8)          of the first item: items are numbered as they are spooled, without a gap
    items (4)           events and rejected items
    length (4)          of the body, in bytes
    checksum (4)        CRC-32 of the four fields and of where the frame belongs
    checksums (4 each)  CRC-32 of each block of the body
    body                in blocks of 4096 bytes, the last one shorter

After damage the next marker leads on, and its number says how many items were lost. The header's
checksum includes the first number of the file and the frame's offset: a frame that a file system
shows in the wrong place is none. Damage within a body leaves its other blocks.
"""

import errno
import os
import struct
from collections.abc import Iterator
from errno import EBADMSG, EILSEQ, EIO, ENODATA
from typing import NamedTuple
from zlib import crc32

FORMAT = 3  # of the spool; those before were SQLite's

_BLOCK_BYTES = 4096
_FIELDS = struct.Struct("<16sQII")
_CHECKSUM = struct.Struct("<I")
_PLACE = struct.Struct("<QQ")
HEADER_BYTES = _FIELDS.size + _CHECKSUM.size
_READ_AHEAD = 256 * 1024
# What file systems answer where a disk can't be read, or does not hold what it should.
_READ_ERRORS = {EIO, ENODATA, EBADMSG, EILSEQ, getattr(errno, "EUCLEAN", EIO)}


Parts = list[tuple[int, int]]  # of a body, each from a byte to before another


class Frame(NamedTuple):
    """The header of an entry: `number` is of its first item, `offset` where it begins."""

    number: int
    items: int
    offset: int
    length: int

    @property
    def end(self) -> int:
        """The offset of the next frame."""
        table = -(-self.length // _BLOCK_BYTES) * _CHECKSUM.size
        return self.offset + HEADER_BYTES + table + self.length


class Place(NamedTuple):
    """What the frames of a file have in common: the spool's marker, the file's first number."""

    marker: bytes
    first: int

    def encode(self, number: int, items: int, offset: int, body: bytes) -> bytes:
        """The frame of an entry at this offset of the file."""
        fields = _FIELDS.pack(self.marker, number, items, len(body))
        checksums = [crc32(block) for block in _blocks(body)]
        return b"".join(
            (
                fields,
                _CHECKSUM.pack(self.checksum(fields, offset)),
                struct.pack(f"<{len(checksums)}I", *checksums),
                body,
            )
        )

    def checksum(self, fields: bytes, offset: int) -> int:
        return crc32(_PLACE.pack(self.first, offset), crc32(fields))


class FrameReader:
    """Reads the first `size` bytes of a file, around what is damaged or can't be read.

    `failed` says whether the disk has failed to read any.
    """

    def __init__(self, descriptor: int, place: Place, size: int) -> None:
        self._descriptor = descriptor
        self._place = place
        self._size = size
        self.failed = False
        self._ahead = b""
        self._ahead_offset = 0

    def frames(self, offset: int) -> Iterator[Frame]:
        """The intact headers from an offset on; the body of the last one may be cut off."""
        while (frame := self._header(offset) or self._next_header(offset + 1)) is not None:
            yield frame
            offset = frame.end

    def body(self, frame: Frame) -> tuple[bytes, Parts | None]:
        """The body, and the parts of it whose checksums are right; None if all are."""
        table = -(-frame.length // _BLOCK_BYTES) * _CHECKSUM.size
        data = self._read(frame.offset + HEADER_BYTES, table + frame.length)
        if len(data) < table + frame.length:  # the file is cut off
            data = data.ljust(table + frame.length, b"\0")
        content = data[table:]
        if table == _CHECKSUM.size and _CHECKSUM.unpack_from(data)[0] == crc32(content):
            return content, None
        return _checked(data, table)

    def _header(self, offset: int) -> Frame | None:
        header = self._read(offset, HEADER_BYTES)
        if len(header) < HEADER_BYTES or not header.startswith(self._place.marker):
            return None
        (checksum,) = _CHECKSUM.unpack_from(header, _FIELDS.size)
        if checksum != self._place.checksum(header[: _FIELDS.size], offset):
            return None
        _, number, items, length = _FIELDS.unpack_from(header)
        return Frame(number, items, offset, length)

    def _next_header(self, offset: int) -> Frame | None:
        """The first intact header from an offset on."""
        while offset + HEADER_BYTES <= self._size:
            data = self._read(offset, _READ_AHEAD)
            position = data.find(self._place.marker)
            if position < 0:
                offset += max(1, len(data) - len(self._place.marker) + 1)
            elif frame := self._header(offset + position):
                return frame
            else:
                offset += position + 1
        return None

    def _read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes, fewer at the end of the file."""
        length = max(0, min(length, self._size - offset))
        start = offset - self._ahead_offset
        if start < 0 or start + length > len(self._ahead):
            ahead = min(max(length, _READ_AHEAD), self._size - offset)
            self._ahead, failed = read(self._descriptor, offset, ahead)
            self.failed |= failed
            self._ahead_offset, start = offset, 0
        return self._ahead[start : start + length]


def read(descriptor: int, offset: int, length: int) -> tuple[bytes, bool]:
    """At most `length` bytes, fewer at the end of the file; and whether the disk failed to read.

    There the bytes are zeros: the checksums tell that these are not what was written. Raises
    OSError of other kinds.
    """
    parts = []
    failed = False
    while length > 0:
        try:
            part = os.pread(descriptor, length, offset)
        except OSError as error:
            if error.errno not in _READ_ERRORS:
                raise
            part = bytes(min(length, _BLOCK_BYTES - offset % _BLOCK_BYTES))
            failed = True
        if not part:
            break
        parts.append(part)
        offset += len(part)
        length -= len(part)
    return b"".join(parts), failed


def _checked(data: bytes, table: int) -> tuple[bytes, Parts | None]:
    """As `FrameReader.body`, of the checksums, which are so many bytes, and the body."""
    content = data[table:]
    intact: Parts = []
    start = 0
    for block, (checksum,) in zip(
        _blocks(content), _CHECKSUM.iter_unpack(data[:table]), strict=True
    ):
        end = start + len(block)
        if crc32(block) == checksum:
            first = intact.pop()[0] if intact and intact[-1][1] == start else start
            intact.append((first, end))
        start = end
    return content, None if intact == [(0, len(content))] else intact


def _blocks(body: bytes) -> Iterator[bytes]:
    if len(body) <= _BLOCK_BYTES:
        return iter((body,) if body else ())
    return (body[start : start + _BLOCK_BYTES] for start in range(0, len(body), _BLOCK_BYTES))
