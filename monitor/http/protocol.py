"""uvicorn's HTTP protocol, but for one write per connection and turn of the event loop."""

import asyncio
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MAX_HELD = 64 * 1024  # bytes; more of them are written at once


class CorkedTransport:
    """A transport that holds what is written until the present turn of the loop has ended.

    uvicorn writes the head and the body of an answer apart, and the answers of a batch are ready
    together. Written in one go they are half the system calls, and a client that waits for many of
    them is woken once: that took a fifth of the time of a request.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._size = 0
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._size += len(data)
        if self._size > _MAX_HELD:
            self.flush()

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.write(b"".join(parts))

    def flush(self) -> None:
        if self._held:
            held, self._held, self._size = self._held, [], 0
            self._transport.write(b"".join(held))

    def write_eof(self) -> None:
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Trailers(list[tuple[bytes, bytes]]):
    """Headers that come after a body: nobody reads them, so none is kept."""

    def append(self, header: tuple[bytes, bytes]) -> None:
        pass


class CorkedProtocol(HttpToolsProtocol):
    """Serves a connection by way of a CorkedTransport, the WebSocket that it may become too.

    A request's head has at most `max_head` bytes. Whoever looks after the connections calls
    `expire` now and then, which ends those whose clients keep it waiting.
    """

    max_head = 32 * 1024

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._asking_since: float | None = self.loop.time()  # None while nothing is to come
        self._unread_since: float | None = None
        self._in_head = False
        self._head = self._arrived = 0  # bytes of the head before this chunk, and of this chunk
        super().connection_made(CorkedTransport(transport, self.loop))  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        self._arrived, self._has_ended = len(data), False
        super().data_received(data)
        if self._in_head:
            # Of a chunk with the end of another request in it, how much is not known.
            self._head += 0 if self._has_ended else len(data)
            if self._head > self.max_head:
                self._end(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        self._in_head, self._head, self._asking_since = True, 0, self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head + self._arrived > self.max_head:  # or it is a long body's beginning
            head = sum(len(name) + len(value) for name, value in self.headers)
            if len(self.url) + head > self.max_head:
                self._end(b"431 Request Header Fields Too Large")
                raise ValueError("the head is too large")
        super().on_headers_complete()
        if not self.parser.should_upgrade():
            self.headers = _Trailers()

    def on_message_complete(self) -> None:
        self._asking_since, self._has_ended = None, True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def expire(self, patience: float) -> None:
        """Ends the connection when for so long (s) a request isn't whole, or an answer not read."""
        now = self.loop.time()
        if self.transport.is_closing():
            self.transport.abort()  # it has had its time to read why
        elif self._asking_since and now - self._asking_since > patience:
            if self.cycle and self.cycle.response_complete:
                self.transport.close()  # it has its answer, and went on sending all the same
            else:
                self._end(b"408 Request Timeout")
        elif not self.transport.get_write_buffer_size():
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since > patience:
            self.transport.abort()

    def _end(self, status: bytes) -> None:
        if not self.transport.is_closing():
            head = b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            self.transport.write(head % status)
            self.transport.close()
