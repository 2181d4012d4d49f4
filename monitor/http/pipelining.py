"""Reads requests that are sent without waiting for answers: few at a time."""

import asyncio
from collections import deque

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_PIECE = 4 * 1024  # bytes, of which all requests are parsed at once
_MAX_LINES = 256  # of a larger read; with more it may have many requests


class _Flow(FlowControl):
    """Reads nothing while it `holds`, though a request would read on for its body."""

    holds = False

    def resume_reading(self) -> None:
        if not self.holds:
            super().resume_reading()


class PipeliningProtocol(HttpToolsProtocol):
    """Parses a read of many requests piece by piece, the next when those before are answered.

    A read of 256 KiB has room for thousands, of which uvicorn makes as many calls at once. While
    requests wait for the answer to another one of the same connection, no more are read.
    """

    flow: _Flow

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._pieces: deque[bytes] = deque()
        self._is_upgraded = False
        self.idle_since: float | None = None  # by the loop's clock; None before an answer

    def data_received(self, data: bytes) -> None:
        has_many = len(data) > _PIECE and data.count(b"\n") > _MAX_LINES
        if not (has_many or self._pieces or self.pipeline):
            self.parse(data)
            if self.pipeline:
                self._hold()
            return
        self._pieces.extend(data[at : at + _PIECE] for at in range(0, len(data), _PIECE))
        self._parse_pieces()

    def parse(self, data: bytes) -> None:
        """Parses what was read, or a piece of it."""
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Serves the next request, as uvicorn does, but sets no timer for one that may not come.

        Timers that are set and cancelled for each request take longer than `expire`.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.idle_since = self.loop.time()
        if self._pieces and not self.pipeline:
            self.loop.call_soon(self._parse_pieces)
        else:
            self._hold()

    def handle_websocket_upgrade(self) -> None:
        self._is_upgraded = True
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        self._pieces.clear()
        super().connection_lost(exc)

    def _parse_pieces(self) -> None:
        while self._pieces and not self.pipeline:
            if self._is_upgraded or self.transport.is_closing():
                self._pieces.clear()
                return
            self.parse(self._pieces.popleft())
        self._hold()

    def _hold(self) -> None:
        """Reads on only if nothing that was read waits."""
        self.flow.holds = bool(self._pieces or self.pipeline)
        if self.flow.holds:
            self.flow.pause_reading()
        elif not self.transport.is_closing():
            self.flow.resume_reading()
