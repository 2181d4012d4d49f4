"""A segment: one file of the spool, with its journal. All methods may block."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from errno import EIO, ENOENT
from pathlib import Path
from typing import NamedTuple, Self

from monitor.pipeline.spool.files import sync, sync_directory, write_all
from monitor.pipeline.spool.frames import (
    FORMAT,
    HEADER_BYTES,
    Frame,
    FrameReader,
    Parts,
    Place,
    read,
)
from monitor.pipeline.spool.journal import Journal, Kind
from monitor.pipeline.spool.ranges import Ranges

PROBE_BYTES = 8192
_READ_TIMEOUT = 60.0  # seconds until a disk that fails to read is taken for damaged


class Entry(NamedTuple):
    """What the spool has of a request: `items` of them, numbered from `number` on.

    It lies in the bytes from `offset` to before `end` of a file, which was begun or opened at
    `since`. Without a `body` its header is damaged, too: so many items are lost, perhaps of several
    requests. `intact` are the parts of the body that are; None if all of it is.
    """

    number: int
    items: int
    body: bytes | None
    intact: Parts | None
    offset: int
    end: int
    file: str
    since: datetime

    @property
    def is_damaged(self) -> bool:
        return self.body is None or self.intact is not None


class Segment:
    """Requests in the order of their receipt; what is settled is not read again.

    `next` is the number after the last item, `size` the offset after its frame. A `sealed` one
    takes no more.
    """

    def __init__(self, path: Path, descriptor: int, place: Place, *, sealed: bool) -> None:
        self.path = path
        self.sealed = sealed
        self.first = self.next = place.first
        self.size = 0
        self.lost, self.damaged = Ranges(), Ranges()  # numbers of items, bytes
        self._place = place
        self._descriptor = descriptor
        self._settled = Ranges()
        self._journal = Journal(path.with_name(f"{path.name}.journal"))
        self._since = datetime.fromtimestamp(os.fstat(descriptor).st_mtime, UTC)
        self.read_timeout = _READ_TIMEOUT
        self._failing_since: float | None = None  # of time.monotonic()
        self._number, self._offset = place.first, 0  # all before is settled
        self._ends: dict[int, int] = {}  # offsets by the numbers after the entries read last

    @classmethod
    def create(cls, directory: Path, place: Place) -> Self:
        """Raises OSError."""
        path = directory / f"{place.first:016x}-{place.marker.hex()}.{FORMAT}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        sync_directory(directory)
        return cls(path, descriptor, place, sealed=False)

    @classmethod
    def load(cls, path: Path, place: Place) -> Self:
        """One that another process has written. Raises OSError."""
        segment = cls(path, os.open(path, os.O_RDONLY), place, sealed=True)
        segment.size = os.fstat(segment._descriptor).st_size
        if not segment._read_journal():
            segment._find_end()
        return segment

    @property
    def items(self) -> int:
        """The items that are still to be stored."""
        return self.next - self.first - self._settled.total

    def append(self, entries: Sequence[tuple[int, bytes]]) -> list[int]:
        """Appends the bodies, each with its number of items; they are on disk when it returns.

        Returns the numbers of the entries. Raises OSError; nothing is kept then.
        """
        number, offset, frames = self.next, self.size, list[bytes]()
        numbers = []
        for items, body in entries:
            numbers.append(number)
            frames.append(self._place.encode(number, items, offset, body))
            number += items
            offset += len(frames[-1])
        self._write(b"".join(frames))
        self.next, self.size = number, offset
        return numbers

    def probe(self) -> None:
        """Writes what an entry takes, and cuts it off again. Raises OSError."""
        self._write(bytes(PROBE_BYTES))
        os.ftruncate(self._descriptor, self.size)

    def entries(self) -> Iterator[Entry]:
        """Those that are not settled, in order; notes what of the file is damaged.

        Where the disk fails to read, it ends: only after `read_timeout` the rest counts as damaged.
        """
        reader = FrameReader(self._descriptor, self._place, self.size)
        for entry in self._entries(reader):
            if entry.is_damaged:
                if reader.failed and not self._is_given_up():
                    return
                self._note_damage(entry)
            yield entry
        if not reader.failed:
            self._failing_since = None

    def settle(self, first: int, end: int) -> None:
        """The items up to before `end` are stored, or are dead letters: they are not read again."""
        self._settled.add(first, end)
        self._journal.add(Kind.SETTLED, first, end)
        if first == self._number and end in self._ends:
            self._number, self._offset = end, self._ends[end]

    def lose(self, first: int, end: int) -> None:
        """So many items, which are settled, could not be read."""
        self.lost.add(first, end)
        self._journal.add(Kind.LOST, first, end)

    def record(self) -> None:
        """Returns once a later process would know the same. Raises OSError; then call it again."""
        self._journal.flush()

    def seal(self) -> None:
        """Makes it take no more, and records where it ends. Raises OSError."""
        self.sealed = True
        self._journal.add(Kind.END, self.next, self.next)
        self.record()

    def reopen_lost(self) -> None:
        """Makes `entries` read once more what was lost."""
        settled = Ranges()
        for first, end in self._settled:
            for part in self.lost.missing(first, end):
                settled.add(*part)
        self._settled = settled
        self._number, self._offset = self.first, 0

    def close(self) -> None:
        os.close(self._descriptor)

    def discard(self) -> None:
        """Removes the files. Raises OSError."""
        self.path.unlink(missing_ok=True)
        self._journal.remove()
        self.close()

    def keep(self, directory: Path) -> None:
        """Moves the files there, for somebody to look at. Raises OSError."""
        directory.mkdir(mode=0o700, exist_ok=True)
        self._journal.add(Kind.END, self.next, self.next)
        for first, end in self.damaged:
            self._journal.add(Kind.DAMAGED, first, end)
        self._journal.flush()
        self._journal.move(directory / self._journal.path.name)
        if self.path.exists():
            self.path.replace(directory / self.path.name)
        self.close()

    def _write(self, data: bytes) -> None:
        try:
            write_all(self._descriptor, data, self.size)
            sync(self._descriptor)
            self._check_written(data)
        except OSError:
            with suppress(OSError):  # the next entry overwrites it otherwise
                os.ftruncate(self._descriptor, self.size)
            raise

    def _check_written(self, data: bytes) -> None:
        """What could not be read back is not acknowledged."""
        if os.fstat(self._descriptor).st_nlink == 0:
            raise OSError(ENOENT, f"{self.path} was removed while it was in use")
        if os.pread(self._descriptor, len(data), self.size) != data:
            raise OSError(EIO, f"{self.path} does not hold what was written to it")

    def _entries(self, reader: FrameReader) -> Iterator[Entry]:
        number, offset = self._number, self._offset
        self._ends.clear()
        for frame in reader.frames(offset):
            end, after = frame.end, frame.number + frame.items
            if not number <= frame.number < after <= self.next:
                continue
            if number < frame.number:
                yield from self._lost_before(frame.number, number, offset, frame.offset)
            self._ends[after] = end
            is_settled = self._settled.contains(frame.number, after)
            if is_settled is None:  # damage came and went: numbers tell more than what is read
                yield from self._lost_before(after, frame.number, frame.offset, end)
            elif not is_settled:
                yield self._entry(frame, end, reader)
            elif number == frame.number == self._number:
                self._number, self._offset = after, end
            number, offset = after, end
        yield from self._lost_before(self.next, number, offset, self.size)

    def _note_damage(self, entry: Entry) -> None:
        start = entry.offset if entry.body is None else entry.end - len(entry.body)
        intact = Ranges()
        for first, end in entry.intact or ():
            intact.add(start + first, start + end)
        for part in intact.missing(start, entry.end):
            self.damaged.add(*part)

    def _is_given_up(self) -> bool:
        """Whether the disk has failed to read for so long that it won't be better."""
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        return now - self._failing_since >= self.read_timeout

    def _entry(self, frame: Frame, end: int, reader: FrameReader) -> Entry:
        body, intact = reader.body(frame)
        return Entry(
            frame.number, frame.items, body, intact, frame.offset, end, self.path.name, self._since
        )

    def _lost_before(self, end: int, number: int, offset: int, end_offset: int) -> Iterator[Entry]:
        """The items up to before `end` that lie in bytes without an intact frame."""
        for first, missing_end in self._settled.missing(number, end):
            items = missing_end - first
            yield Entry(first, items, None, None, offset, end_offset, self.path.name, self._since)

    def _read_journal(self) -> bool:
        """Returns whether it says where the segment ends."""
        ranges = {
            Kind.SETTLED: self._settled,
            Kind.LOST: self.lost,
            Kind.DAMAGED: self.damaged,
        }
        is_complete = False
        for kind, first, end in self._journal.records():
            if kind is Kind.END:
                is_complete = True
            else:
                ranges[kind].add(first, end)
            if kind is not Kind.DAMAGED:  # of bytes
                self.next = max(self.next, end)
        return is_complete

    def _find_end(self) -> None:
        """Without a recorded end the server was killed: its last request may be unfinished.

        Then its header is there, or less than a header, or zeros after a loss of power; anything
        else is damaged.
        """
        offset = 0
        reader = FrameReader(self._descriptor, self._place, self.size)
        for frame in reader.frames(0):
            offset = min(frame.end, self.size)
            if frame.end > self.size:
                self.size = offset = frame.offset
            else:
                self.next = max(self.next, frame.number + frame.items)
        rest, failed = read(self._descriptor, offset, self.size - offset)
        if failed or (len(rest) >= HEADER_BYTES and rest.strip(b"\0")):
            self.damaged.add(offset, self.size)
        if not failed and not reader.failed:  # else the next start may find more
            self._journal.add(Kind.END, self.next, self.next)
