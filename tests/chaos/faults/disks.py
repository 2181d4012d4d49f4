"""Disks that are full."""

from contextlib import suppress
from pathlib import Path


def fill(path: Path) -> None:
    with suppress(OSError), path.open("wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass
