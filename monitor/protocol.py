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


class CorkedProtocol(HttpToolsProtocol):
    """Serves a connection by way of a CorkedTransport, the WebSocket that it may become too."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(CorkedTransport(transport, self.loop))  # type: ignore[arg-type]
