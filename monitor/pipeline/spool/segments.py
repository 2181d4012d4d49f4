"""The segments of a spool, in its directory. All methods may block."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from errno import EDQUOT, EFBIG, EIO, ENOSPC
from pathlib import Path
from typing import NamedTuple

from monitor.errors import SpoolError
from monitor.pipeline.spool.files import Name, sync_directory
from monitor.pipeline.spool.frames import FORMAT, Place
from monitor.pipeline.spool.ranges import Ranges
from monitor.pipeline.spool.segment import PROBE_BYTES, Entry, Segment

DAMAGED = "damaged"  # of the spool's directory: files that are kept
DISK_FULL = (ENOSPC, EDQUOT, EFBIG)
_SEGMENT_BYTES = 8 * 1024 * 1024  # after which another one is begun
_MIN_SEGMENTS = 8  # that fit into the bound: each is held up by its last entry


class Damage(NamedTuple):
    """What could not be read: lost items, damaged bytes, and the files that are kept for it."""

    items: int
    bytes: int
    files: list[Path]


class Segments:
    """Entries in the order of their receipt, in files of a few MiB; a settled file is removed.

    Where a file is damaged its other entries are read, and it takes no more. It is kept in the
    directory `damaged` when the rest of it is settled. `marker` is in all frames.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self.directory = directory
        self.damaged_directory = directory / DAMAGED
        self.marker = b""
        self._max_bytes = max_bytes
        self._segment_bytes = min(_SEGMENT_BYTES, max_bytes // _MIN_SEGMENTS)
        self._segments: list[Segment] = []
        self._kept = Damage(0, 0, [])
        self._next = 1

    def load(self) -> None:
        """Opens those that other processes left. Raises SpoolError if one is of a newer version."""
        self._kept = _kept(self.damaged_directory)
        for _, name in _named(self.damaged_directory):
            self._next = max(self._next, name.place.first + 1)
            self.marker = name.place.marker
        for path, name in _named(self.directory):
            if name.format > FORMAT:
                raise SpoolError(
                    f"{path} was written by a newer version: its format is {name.format}, and this"
                    f" one reads up to {FORMAT}. Start that version again until it has drained the"
                    " spool, or set another DATA_DIR"
                )
            self.marker = name.place.marker
            try:
                segment = Segment.load(path, name.place)
            except OSError as error:
                if error.errno != EIO:  # else its name is all that the disk still reads
                    raise
                self.keep_file(path)
                continue
            self._segments.append(segment)
            self._next = max(self._next, segment.next)

    @property
    def items(self) -> int:
        return sum(segment.items for segment in self._segments)

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(segment.size for segment in self._segments)

    @property
    def damage(self) -> Damage:
        hit = [each for each in self._segments if each.lost.total or each.damaged.total]
        return Damage(
            self._kept.items + sum(each.lost.total for each in hit),
            self._kept.bytes + sum(each.damaged.total for each in hit),
            [*self._kept.files, *(each.path for each in hit)],
        )

    def append(self, entries: Sequence[tuple[int, bytes]], *, bounded: bool = True) -> list[int]:
        """Appends the bodies, each with its number of items; they are on disk when it returns.

        Returns the numbers of the entries. Raises OSError if the bound is reached or the disk is
        full; nothing is kept then.
        """
        self._check_bound(sum(len(body) for _, body in entries) if bounded else 0)
        try:
            numbers = self._open_segment().append(entries)
        except OSError as error:
            if error.errno in DISK_FULL:
                raise
            self._abandon()  # another file may be well
            numbers = self._open_segment().append(entries)
        self._next = self._segments[-1].next
        return numbers

    def probe(self) -> None:
        """Raises OSError where `append` would, even for a small entry."""
        self._check_bound(PROBE_BYTES)
        self._open_segment().probe()

    def oldest(self, max_items: int, max_bytes: int, skip: Collection[int]) -> list[Entry]:
        """The oldest entries within these bounds (one at least), skipping some numbers."""
        entries: list[Entry] = []
        items = size = 0
        for entry in self.entries():
            if entry.number in skip:
                continue
            items += entry.items
            size += len(entry.body or b"")
            if entries and (items > max_items or size > max_bytes):
                break
            entries.append(entry)
        return entries

    def entries(self) -> Iterator[Entry]:
        for segment in self._segments:
            yield from segment.entries()

    def get(self, number: int) -> Entry | None:
        """The entry of that number; None if it can't be told from its neighbours any more."""
        for segment in self._segments:
            if segment.first <= number < segment.next:
                return next((each for each in segment.entries() if each.number == number), None)
        return None

    def settle(self, entries: Mapping[int, int], lost: Mapping[int, int]) -> None:
        """Removes entries, each given by its number and items; `lost` of these were not read.

        Raises OSError if this could not be recorded: they are removed for this process, and the
        next call tries again.
        """
        for first, end in _runs(entries):
            while first < end:
                segment = self._segment_of(first)
                segment.settle(first, min(end, segment.next))
                first = segment.next
        for number, items in lost.items():
            self._segment_of(number).lose(number, number + items)
        self._tidy()

    def keep_file(self, path: Path) -> None:
        """Keeps a damaged file of an earlier format. Raises OSError."""
        self.damaged_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.replace(self.damaged_directory / path.name)
        self._kept = _kept(self.damaged_directory)

    def close(self) -> None:
        """Closes all files. Raises OSError if it could not be recorded where the last one ends."""
        try:
            self._tidy()
            if self._segments and not self._segments[-1].sealed:
                self._segments[-1].seal()
        finally:
            for segment in self._segments:
                segment.close()
            self._segments = []

    def _tidy(self) -> None:
        """Records what is settled, and removes the files that are settled as a whole."""
        removed = False
        for segment in list(self._segments):
            if segment.items:
                segment.record()
                continue
            if segment.lost.total or segment.damaged.total:
                segment.keep(self.damaged_directory)
                self._kept = _kept(self.damaged_directory)
            else:
                segment.discard()
            self._segments.remove(segment)
            removed = True
        if removed and self.directory.exists():
            sync_directory(self.directory)

    def _segment_of(self, number: int) -> Segment:
        return next(each for each in self._segments if each.first <= number < each.next)

    def _check_bound(self, size: int) -> None:
        if self.size + size >= self._max_bytes:
            raise OSError(ENOSPC, f"it holds {self.size} of {self._max_bytes} bytes")

    def _open_segment(self) -> Segment:
        """The one to append to."""
        last = self._segments[-1] if self._segments else None
        if last and not last.sealed:
            if last.size < self._segment_bytes and not last.damaged.total:
                return last
            self._abandon()
        if not self.directory.exists():
            self.directory.mkdir(mode=0o700)
            sync_directory(self.directory.parent)
        while True:
            try:
                segment = Segment.create(self.directory, Place(self.marker, self._next))
            except FileExistsError:  # it could not be removed
                self._next += 1
            else:
                self._segments.append(segment)
                return segment

    def _abandon(self) -> None:
        """Makes the next entry go to another file."""
        last = self._segments[-1] if self._segments else None
        if last and not last.sealed:
            with suppress(OSError):  # what it has to record is written with the next record
                last.seal()
            self._next = last.next


def _runs(entries: Mapping[int, int]) -> Ranges:
    runs = Ranges()
    first = end = 0
    for number, items in sorted(entries.items()):
        if number != end:
            runs.add(first, end)
            first = number
        end = number + items
    runs.add(first, end)
    return runs


def _named(directory: Path) -> list[tuple[Path, Name]]:
    """The segments of a directory, in the order of their numbers."""
    paths = sorted(directory.iterdir()) if directory.is_dir() else []
    return [(path, name) for path in paths if (name := Name.of(path))]


def _kept(directory: Path) -> Damage:
    """What is damaged of the files that are kept."""
    items = size = 0
    for path, name in _named(directory):
        segment = Segment.load(path, name.place)
        items += segment.lost.total
        size += segment.damaged.total
        segment.close()
    files = sorted(directory.iterdir()) if directory.is_dir() else []
    return Damage(items, size, [path for path in files if path.suffix != ".journal"])
