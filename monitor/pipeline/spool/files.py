"""Files of a spool: their names, and how what is written to them reaches the disk."""

import os
import re
from pathlib import Path
from typing import NamedTuple, Self

from monitor.pipeline.spool.frames import Place

_NAME = re.compile(r"(?P<first>[0-9a-f]{16})-(?P<marker>[0-9a-f]{32})\.(?P<format>\d+)")

sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class Name(NamedTuple):
    """What a segment's name says; `format` is that of the spool."""

    place: Place
    format: int

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """None if it is no segment's."""
        if not (match := _NAME.fullmatch(path.name)):
            return None
        place = Place(bytes.fromhex(match["marker"]), int(match["first"], 16))
        return cls(place, int(match["format"]))


def sync_directory(directory: Path) -> None:
    """Returns once the names in it are on disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Raises OSError; then a part may be written."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written
