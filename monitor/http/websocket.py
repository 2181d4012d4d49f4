"""uvicorn's WebSocket protocol, with an extension that writes ready-made frames."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

_CLOSE_TIMEOUT = 1.0  # seconds in which a peer can read what was sent before the close
_SEND_BUFFER = 64 * 1024  # bytes in the kernel; a growing one would hide a peer that does not read


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Is itself the ASGI extension `websocket.frames`, through which an application writes frames.

    It needs compression off: with it, frames would share state with uvicorn's own. `on_writable`
    is called with False when the transport's buffer is full, and with True when it is not any more.
    """

    on_writable: Callable[[bool], None] | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if raw := transport.get_extra_info("socket"):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    @property
    def write(self) -> Callable[[bytes], None]:
        """The transport's own `write`, which takes complete frames: a message costs one call."""
        return self.transport.write

    def drop(self, code: int, reason: str) -> None:
        """Closes with this code, and aborts if the peer does not read it in time."""
        if self.close_sent or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._end()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions["websocket.frames"] = self

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc and not self.transport.is_closing():
            # The head is larger than websockets allows: uvicorn would wait for another one forever.
            self.transport.write(b"".join(self.conn.data_to_send()))
            self._end()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._report(False)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._report(True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._report(False)
        self.on_writable = None
        super().connection_lost(exc)

    def shutdown(self) -> None:
        super().shutdown()
        self._end()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._end()

    def _report(self, writable: bool) -> None:
        if self.on_writable:
            self.on_writable(writable)

    def _end(self) -> None:
        """Closes with a deadline: uvicorn's own close waits until the peer has read everything."""
        self._report(False)
        self.transport.close()
        asyncio.get_running_loop().call_later(_CLOSE_TIMEOUT, self.transport.abort)
