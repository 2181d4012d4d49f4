"""uvicorn's WebSocket protocol, with an extension that writes ready-made frames."""

import socket
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

_PIECE = 1024  # bytes parsed at a time: a frame may be as small as 6 bytes
_MAX_COMMANDS = 32  # messages that wait for the application; then nothing more is parsed
_MAX_COMMAND_BYTES = 64 * 1024  # the same in bytes
_MAX_SMALL_FRAMES = 200  # in `_SMALL_FRAMES_PERIOD`; frames without a message of their own
_SMALL_FRAMES_PERIOD = 10.0  # seconds
_TOO_MANY_FRAMES = 1008  # the close code for more
_INVALID_TEXT = 1007  # the close code for text that is not UTF-8
_CLOSE_TIMEOUT = 1.0  # seconds in which a peer can read what was sent before the close
_MAX_ANSWER = 8  # pieces in which a peer can answer the close; what else it sends is discarded
_SEND_BUFFER = 64 * 1024  # bytes in the kernel; a growing one would hide a peer that does not read


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Is itself the ASGI extension `websocket.frames`, through which an application writes frames.

    It needs compression off: with it, frames would share state with uvicorn's own. `on_writable`
    is called with False when the transport's buffer is full, and with True when it is not any more;
    `on_lost` when the peer is gone.

    What a peer sends is parsed as the application takes it: the rest stays unparsed, and then in
    the kernel. Frames that are no message are bounded by number.
    """

    on_writable: Callable[[bool], None] | None = None
    on_lost: Callable[[], None] | None = None

    def connection_made(self, transport: Any) -> None:
        self._unparsed = bytearray()
        self._waiting_bytes = 0  # of messages that the application has not taken
        self._small_frames, self._period_ends = 0, 0.0
        self._pong = b""  # waits until the peer reads
        self._answer = 0  # pieces parsed after the close
        super().connection_made(transport)
        if raw := transport.get_extra_info("socket"):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    @property
    def write(self) -> Callable[[bytes], None]:
        """The transport's own `write`, which takes complete frames: a message costs one call."""
        return self.transport.write

    def drop(self, code: int, reason: str) -> None:
        """Closes with this code, and aborts if the peer does not answer in time.

        What arrives at a closed TCP connection resets it, and a peer that was just sending may then
        lose the code: so the connection stays open until the peer has answered.
        """
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.send_close(code, reason)
        self._await_answer(code, reason)

    def handle_parser_exception(self) -> None:
        """Closes as `drop` does: what has been received is no frame, or too large."""
        if closing := self.conn.close_sent:
            if not self.close_sent:
                self._await_answer(closing.code, closing.reason)
        else:
            self._end()

    def handle_close(self, event: Frame) -> None:
        super().handle_close(event)
        self._end()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions["websocket.frames"] = self

    def data_received(self, data: bytes) -> None:
        self._unparsed += data
        self._parse()

    async def receive(self) -> Any:
        """The next message, of which the peer has sent all."""
        message: Any = await self.queue.get()
        self._waiting_bytes -= len(message.get("text") or message.get("bytes") or b"")
        self._parse()
        return message

    def handle_text(self, event: Frame) -> None:
        self.curr_msg_data_type = "text"
        self._begin_message(event)

    def handle_bytes(self, event: Frame) -> None:
        self.curr_msg_data_type = "bytes"
        self._begin_message(event)

    def handle_cont(self, event: Frame) -> None:
        self._count_small_frame()
        self._message += event.data
        self._end_message(event)

    def handle_ping(self) -> None:
        self._count_small_frame()
        self._pong = b"".join(self.conn.data_to_send())  # of the last ping only, as RFC 6455 allows
        if self.writable.is_set():
            self._send_pong()

    def handle_pong(self, event: Frame) -> None:
        self._count_small_frame()
        super().handle_pong(event)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._report(False)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._send_pong()
        self._report(not self.close_sent)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        super().shutdown()
        self._end()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._end()

    def _parse(self) -> None:
        while self._unparsed and not self.transport.is_closing():
            if self.close_sent:
                self._answer += 1
                if self._answer > _MAX_ANSWER:
                    break
            elif self._is_full():
                self._pause_reading()
                return
            piece = bytes(self._unparsed[:_PIECE])
            del self._unparsed[:_PIECE]
            super().data_received(piece)
            if self.conn.handshake_exc and not self.transport.is_closing():
                # The head is larger than websockets allows: uvicorn would wait for another forever.
                self.transport.write(b"".join(self.conn.data_to_send()))
                self._end()
        self._unparsed.clear()
        self._resume_reading()

    def _await_answer(self, code: int, reason: str) -> None:
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._leave()
        self._resume_reading()
        self.close_timer = self.loop.call_later(_CLOSE_TIMEOUT, self.transport.abort)

    def _leave(self) -> None:
        """From now on the application writes nothing more."""
        self._report(False)
        self.on_writable = None
        if self.on_lost:
            self.on_lost()
            self.on_lost = None

    def _is_full(self) -> bool:
        return self.queue.qsize() >= _MAX_COMMANDS or self._waiting_bytes >= _MAX_COMMAND_BYTES

    def _pause_reading(self) -> None:
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self.read_paused and not self.transport.is_closing():
            self.read_paused = False
            self.transport.resume_reading()

    def _begin_message(self, event: Frame) -> None:
        self._message = bytearray(event.data)
        self._end_message(event)

    def _end_message(self, event: Frame) -> None:
        if not event.fin or self.close_sent:
            return
        if self.curr_msg_data_type == "bytes":
            self._pass_on("bytes", bytes(self._message))
            return
        try:
            text = self._message.decode()
        except UnicodeDecodeError:
            self.drop(_INVALID_TEXT, "")
        else:
            self._pass_on("text", text)

    def _pass_on(self, kind: str, content: str | bytes) -> None:
        self._waiting_bytes += len(content)
        self.queue.put_nowait({"type": "websocket.receive", kind: content})  # type: ignore[arg-type]

    def _send_pong(self) -> None:
        if self._pong and not self.close_sent:
            self.transport.write(self._pong)
        self._pong = b""

    def _count_small_frame(self) -> None:
        now = self.loop.time()
        if now >= self._period_ends:
            self._small_frames, self._period_ends = 0, now + _SMALL_FRAMES_PERIOD
        self._small_frames += 1
        if self._small_frames > _MAX_SMALL_FRAMES:
            self.drop(_TOO_MANY_FRAMES, "too many frames")

    def _report(self, writable: bool) -> None:
        if self.on_writable:
            self.on_writable(writable)

    def _end(self) -> None:
        """Closes with a deadline: uvicorn's own close waits until the peer has read everything."""
        self._report(False)
        self.transport.close()
        self.loop.call_later(_CLOSE_TIMEOUT, self.transport.abort)
