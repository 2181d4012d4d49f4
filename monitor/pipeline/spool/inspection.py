"""What an operator does with the files of a spool: look, export, and save what can be read."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from monitor.errors import CommandError
from monitor.events.dialects import as_json
from monitor.events.event import Payload
from monitor.pipeline.spool import earlier_formats
from monitor.pipeline.spool.earlier_formats import EarlierSpool
from monitor.pipeline.spool.files import Name
from monitor.pipeline.spool.home import SUBDIRECTORY, Home
from monitor.pipeline.spool.payloads import encode, payload_of
from monitor.pipeline.spool.segment import Entry, Segment
from monitor.pipeline.spool.segments import DAMAGED, Segments

SALVAGED = "salvaged"  # of the spool's directory: files that were kept, and are done with

_UNBOUNDED = 2**63


class FileReport(NamedTuple):
    """A file of the spool: `items` can be read and wait to be stored, `lost` ones can't be read.

    `damaged` counts bytes. What is lost of a file that is kept are dead letters already.
    """

    path: Path
    is_kept: bool
    requests: int
    items: int
    lost: int
    damaged: int


class Salvage(NamedTuple):
    """What was read of a file: `items` of it were spooled, `lost` ones still can't be read."""

    path: Path
    items: int
    lost: int


def check(data_dir: Path) -> list[FileReport]:
    """Reads all files; a server may run on them. Raises CommandError, and OSError."""
    waiting = [_report(segment, is_kept=False) for segment in _open(_spool(data_dir))]
    kept = [_report(segment, is_kept=True) for segment in _open(_spool(data_dir) / DAMAGED)]
    return waiting + kept


def payloads(data_dir: Path) -> Iterator[tuple[Payload, int]]:
    """What waits to be stored, and how many items of it can't be read; a server may run on it."""
    for segment in _open(_spool(data_dir)):
        for entry in segment.entries():
            yield payload_of(entry)


def as_request(payload: Payload) -> str:
    """The items of a request as JSON, as they can be posted again."""
    items = [as_json(event) for event in payload.events]
    items += [letter.raw for letter in payload.rejected if letter.raw]
    return f"[{','.join(items)}]"


def salvage(data_dir: Path, paths: list[Path]) -> Iterator[Salvage]:
    """Spools what can be read of these files, or else of those that are kept as damaged.

    The latter are moved to `SALVAGED`. No server may run on DATA_DIR. Raises SpoolError, OSError,
    and CommandError.
    """
    home = Home(data_dir, _UNBOUNDED)
    try:
        home.prepare()
        kept = home.segments.damaged_directory
        for path in paths or _files(kept):
            yield _salvage(path, home.segments)
            if not paths:
                _move(path, home.segments.directory / SALVAGED)
    finally:
        home.close()


def _report(segment: Segment, *, is_kept: bool) -> FileReport:
    requests = items = 0
    lost = segment.lost.total
    for entry in segment.entries():
        count = payload_of(entry)[1]
        requests += entry.body is not None
        items += entry.items - count
        lost += count
    return FileReport(segment.path, is_kept, requests, items, lost, segment.damaged.total)


def _salvage(path: Path, target: Segments) -> Salvage:
    if path.name.startswith(earlier_formats.NAME):
        return _salvage_earlier(path, target)
    name = Name.of(path)
    if name is None:
        raise CommandError(f"{path} is no file of a spool")
    segment = Segment.load(path, name.place)
    segment.read_timeout = 0
    segment.reopen_lost()
    items = lost = 0
    for entry in segment.entries():
        payload, unreadable = payload_of(entry)
        lost += unreadable
        readable = _not_read_before(segment, entry) - unreadable
        if readable > 0:
            events = Payload(payload.events, [] if unreadable else payload.rejected)
            target.append([(len(events), encode(events))], bounded=False)
            items += readable
    segment.close()
    return Salvage(path, items, lost)


def _not_read_before(segment: Segment, entry: Entry) -> int:
    """The items of an entry that were not stored when it was read before."""
    known = sum(
        end - first for first, end in segment.lost.missing(entry.number, entry.number + entry.items)
    )
    return entry.items - known if known < entry.items else entry.items


def _salvage_earlier(path: Path, target: Segments) -> Salvage:
    items = 0
    with EarlierSpool(path) as spool:
        for batch in spool.batches(skip=0):
            target.append(batch, bounded=False)
            items += sum(count for count, _ in batch)
    return Salvage(path, items, 0)


def _open(directory: Path) -> Iterator[Segment]:
    for path in _files(directory):
        if name := Name.of(path):
            try:
                segment = Segment.load(path, name.place)
            except FileNotFoundError:  # a server has drained it meanwhile
                continue
            segment.read_timeout = 0
            try:
                yield segment
            finally:
                segment.close()


def _spool(data_dir: Path) -> Path:
    if not data_dir.is_dir():
        raise CommandError(f"{data_dir} is no directory: set DATA_DIR to that of the server")
    return data_dir / SUBDIRECTORY


def _files(directory: Path) -> list[Path]:
    """The files that hold entries, in order."""
    if not directory.is_dir():
        return []
    return [
        path
        for path in sorted(directory.iterdir())
        if Name.of(path) or path.name == earlier_formats.NAME
    ]


def _move(path: Path, directory: Path) -> None:
    """Moves a file with what belongs to it: its journal, or SQLite's log."""
    directory.mkdir(mode=0o700, exist_ok=True)
    for each in path.parent.glob(f"{path.name}*"):
        each.replace(directory / each.name)
