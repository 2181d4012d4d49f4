"""Where a client stands: how far it has got with the messages of each replica."""

from collections.abc import Mapping
from typing import NamedTuple, Self


class StreamPosition(NamedTuple):
    """The number of the last message seen of each origin, as known at a time (ms since 1970)."""

    time: int
    offsets: dict[str, int]

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None when the text is not what a replica gave out."""
        time, *places = text.split(".")
        try:
            pairs = [place.split("-") for place in places]
            return cls(int(time, 16), {origin: int(offset, 16) for origin, offset in pairs})
        except ValueError:
            return None


def prefix(time: int, offsets: Mapping[str, int], origin: str) -> str:
    """A cursor without its end, the hexadecimal number of a message of `origin`."""
    places = [
        f".{other}-{offset:x}" for other, offset in offsets.items() if offset and other != origin
    ]
    return f"{time:x}{''.join(places)}.{origin}-"
