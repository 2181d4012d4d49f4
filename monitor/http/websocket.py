"""uvicorn's WebSocket with a way past it: ready-made frames go straight to the transport."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

_PATIENCE = 1.0  # seconds that a peer has to read what is before its close
_SEND_BUFFER = 64 * 1024  # of the kernel; one that grows would hide for long who reads nothing


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Itself the ASGI extension `websocket.frames`: an application writes frames through it.

    Only without compression: such frames have no state in common with uvicorn's own.
    """

    on_writable: Callable[[bool], None] | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if raw := transport.get_extra_info("socket"):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    @property
    def write(self) -> Callable[[bytes], None]:
        return self.transport.write

    def drop(self, code: int, reason: str) -> None:
        """Closes with this code; cuts off a peer that doesn't read so far."""
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
            # The head is more than websockets reads: uvicorn would wait for ever for another.
            self.transport.write(b"".join(self.conn.data_to_send()))
            self._end()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._tell(False)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._tell(True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._tell(False)
        self.on_writable = None
        super().connection_lost(exc)

    def shutdown(self) -> None:
        super().shutdown()
        self._end()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._end()

    def _tell(self, writable: bool) -> None:
        if self.on_writable:
            self.on_writable(writable)

    def _end(self) -> None:
        """uvicorn's close waits for ever until a peer has read all."""
        self._tell(False)
        self.transport.close()
        asyncio.get_running_loop().call_later(_PATIENCE, self.transport.abort)
