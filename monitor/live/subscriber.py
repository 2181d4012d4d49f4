"""One socket: its queue is bounded, so that a slow reader delays nobody else."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

SLOW = 3008  # the close code for a client that doesn't keep up; it may come back at once
_COALESCED = 200  # messages in one frame at most


class Wire(Protocol):
    """A WebSocket that accepts encoded frames."""

    def write(self, frame: bytes, /) -> None:
        """Sends a complete frame, or buffers it; never waits."""

    def drop(self, code: int, reason: str) -> None:
        """Closes the socket, even if the peer doesn't answer."""


class SocketLimits(NamedTuple):
    """How much may wait for one socket."""

    messages: int
    bytes: int


class Subscriber:
    """A socket's channels, and its bounded queue of frames, empty as long as the peer reads.

    With an interval (s), the messages of that interval are sent as one frame, a JSON array. `slow`:
    it was closed because the peer did not keep up.
    """

    def __init__(self, wire: Wire, limits: SocketLimits, name: str = "") -> None:
        self.channels: set[str] = set()
        self.name = name
        self.slow = False
        self._wire = wire
        self._write = wire.write
        self._limits = limits
        self._writable = True
        self._held = False
        self._flowing = True  # nothing is queued, so a message may be written at once
        self._changed: asyncio.Future[None] | None = None  # resolved when `_writable` changes
        self._left = False
        self._pending: deque[bytes] = deque()
        self._bytes = 0
        self._interval = 0.0
        self._gathered: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None

    def put(self, text: bytes, frame: bytes) -> None:
        """Sends a message: `text` is its JSON, `frame` the same as a complete WebSocket frame.

        The frame is built once for all subscribers; the text is for those that coalesce.
        """
        if self._interval:
            self._gather(text)
        elif self._flowing:
            self._write(frame)
        else:
            self._queue(frame)

    def coalesce(self, interval: float) -> None:
        """Sets the interval (s) in which messages are gathered into one frame; 0 for none."""
        self._send_gathered()
        self._interval = interval

    def hold(self) -> None:
        """From now on messages are queued: those of `write` go before them."""
        self._send_gathered()
        self._held, self._flowing = True, False

    def release(self) -> None:
        """Ends `hold`."""
        self._held = False
        self._pump()

    def write(self, texts: Sequence[bytes]) -> None:
        """Sends messages of a replay, unless the subscriber has left."""
        if self._left:
            return
        starts = range(0, len(texts), _COALESCED)
        if self._interval:
            texts = [_array(texts[each : each + _COALESCED]) for each in starts]
        for text in texts:
            self._write(frame(text))

    async def wait_until_writable(self) -> bool:
        """Waits until the peer has read most of what was sent; False if it has left."""
        while not (self._writable or self._left):
            self._changed = asyncio.get_running_loop().create_future()
            await self._changed
        return not self._left

    def set_writable(self, writable: bool) -> None:
        """Called when the transport's buffer is full, and when it has room again."""
        self._writable = writable
        self._pump()
        self._report_change()

    def leave(self) -> None:
        """Sends nothing more: what is gathered or queued is dropped."""
        if self._timer:
            self._timer.cancel()
        self._left = True
        self._writable = self._flowing = False
        self._report_change()

    def _report_change(self) -> None:
        if self._changed and not self._changed.done():
            self._changed.set_result(None)

    def _pump(self) -> None:
        if self._held:
            return
        while self._writable and self._pending:
            waiting = self._pending.popleft()
            self._bytes -= len(waiting)
            self._write(waiting)
        self._flowing = self._writable

    def _queue(self, frame: bytes) -> None:
        self._bytes += len(frame)
        if len(self._pending) < self._limits.messages and self._bytes <= self._limits.bytes:
            self._pending.append(frame)
        else:
            self._pending.clear()
            self._limits = SocketLimits(0, 0)
            self.slow = True
            self._wire.drop(SLOW, "slow")

    def _gather(self, text: bytes) -> None:
        self._gathered.append(text)
        if len(self._gathered) == 1:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._interval, self._send_gathered)
        elif len(self._gathered) == _COALESCED:
            self._send_gathered()

    def _send_gathered(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if texts := self._gathered:
            self._gathered = []
            joined = frame(_array(texts))
            if self._flowing:
                self._write(joined)
            else:
                self._queue(joined)


def frame(text: bytes) -> bytes:
    """A WebSocket frame of the server's with this text."""
    size = len(text)
    if size < 126:
        return b"\x81%c%b" % (size, text)
    if size < 65536:
        return b"\x81\x7e%b%b" % (size.to_bytes(2), text)
    return b"\x81\x7f%b%b" % (size.to_bytes(8), text)


def _array(texts: Iterable[bytes]) -> bytes:
    return b"[%b]" % b",".join(texts)
