"""Cursors: how far a client has read the messages of each replica."""

from collections.abc import Mapping
from typing import NamedTuple, Self

_MAX_LENGTH = 4_000  # characters of a cursor, which then names some 200 replicas


class StreamPosition(NamedTuple):
    """A version vector: the last message number read of each replica, at a time (ms since 1970)."""

    time: int
    offsets: dict[str, int]

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parses a message's `id`; None when no replica has issued it."""
        if len(text) > _MAX_LENGTH:
            return None
        time, *parts = text.split(".")
        try:
            pairs = [part.split("-") for part in parts]
            return cls(int(time, 16), {replica_id: int(offset, 16) for replica_id, offset in pairs})
        except ValueError:
            return None


def prefix(time: int, offsets: Mapping[str, int], replica_id: str) -> str:
    """A cursor up to its last part, the hexadecimal number of a message of `replica_id`."""
    others = [
        f".{other}-{offset:x}"
        for other, offset in offsets.items()
        if offset and other != replica_id
    ]
    return f"{time:x}{''.join(others)}.{replica_id}-"
