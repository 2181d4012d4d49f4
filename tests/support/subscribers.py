"""Subscribers of a hub that has no sockets."""

from typing import Any

import msgspec


class Message(msgspec.Struct):
    what: Any


class Peer:
    """The far end of a wire: the frames it got, and whether it was dropped."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.dropped: tuple[int, str] | None = None

    def write(self, frame: bytes, /) -> None:
        self.frames.append(frame)

    def drop(self, code: int, reason: str) -> None:
        self.dropped = code, reason

    @property
    def messages(self) -> list[Any]:
        return [msgspec.json.decode(text_of(each)) for each in self.frames]


def text_of(frame: bytes) -> bytes:
    """The text of a WebSocket frame that a server sent."""
    sizes = {126: 4, 127: 10}
    return frame[sizes.get(frame[1], 2) :]
