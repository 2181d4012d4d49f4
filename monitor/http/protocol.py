"""uvicorn's HTTP protocol with coalesced writes, a limit for heads, and deadlines."""

import asyncio
import fcntl
import socket
import sys
import termios
from contextlib import suppress

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from monitor.http.corked import CorkedTransport
from monitor.http.pipelining import PipeliningProtocol
from monitor.http.request_log import note_refusal
from monitor.http.whole_answers import EXTENSION, WholeAnswer

_LEAST_READ = 512 * 1024  # bytes; slower readers would hold an answer for half an hour
_TOO_LARGE = b"431 Request Header Fields Too Large"
_HEADERS = [(b"connection", b"close"), (b"content-type", b"text/plain; charset=utf-8")]
_MAX_PARTS = 1_000  # of bodies, in one read of some 256 KiB: each costs as much as a call


_MAX_BUSY = 5.0  # seconds in which the loop has surely looked what arrived
_UNSENT, _UNREAD = termios.TIOCOUTQ, termios.FIONREAD


def _in_kernel(connection: socket.socket | None, which: int) -> int:
    """The bytes that this machine's kernel holds; 0 where it doesn't say.

    _UNSENT: it has not sent them, or nobody has confirmed them. It takes more in steps of a
    megabyte: a slow reader would seem to read nothing for long. _UNREAD: this process has not read
    them.
    """
    size = bytearray(4)
    if connection is not None:
        with suppress(OSError):
            fcntl.ioctl(connection.fileno(), which, size)
    return int.from_bytes(size, sys.byteorder)


class _Trailers(list[tuple[bytes, bytes]]):
    """Takes the headers that follow a chunked body, and keeps none: nobody reads them.

    uvicorn would append them to the request's headers, without a limit. tests/unit/test_protocol.py
    checks that it still works this way, by `self.headers`.
    """

    def append(self, header: tuple[bytes, bytes]) -> None:
        pass


class HttpProtocol(PipeliningProtocol):
    """Serves a connection, and the WebSocket that it may become, through a CorkedTransport.

    A request's head has at most `max_head_bytes`. The server calls `expire` at intervals, which
    closes connections whose clients keep it waiting.

    A request to upgrade to anything but a WebSocket, such as `h2c`, is served as if it didn't ask
    (RFC 9110, 7.8). The parser takes what follows its head for the other protocol: so the head is
    parsed again without the header `Upgrade`, and then what follows.
    """

    max_head_bytes = 32 * 1024

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._request_since: float | None = self.loop.time()  # None between requests
        self._unread_since: float | None = None
        self._sent_then = 0  # at that time
        self._in_head = self._is_parsed_again = False
        self._head = self._chunk = 0  # bytes of the head before this chunk, and of this chunk
        super().connection_made(CorkedTransport(transport, self.loop))  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        self._parts = 0
        super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether answers are due to a client that sends no more: it may still read them.

        A request that it has not sent to its end is dropped. While others wait for their turn,
        nothing is read: so the newest is the one that is being answered. Who has gone altogether
        looks the same until something is written.
        """
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body:
            transport: CorkedTransport = self.transport  # type: ignore[assignment]
            transport.flush()  # an answer may have been ready just now
            return False
        cycle.keep_alive = False  # it closes the connection after the last answer
        self._request_since = None  # what may have begun after it
        return True

    def parse(self, data: bytes) -> None:
        self._chunk, self._has_ended = len(data), False
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        if self._in_head:
            # How much of a chunk that also ends another request is head is not known.
            self._head += 0 if self._has_ended else len(data)
            if self._head > self.max_head_bytes:
                self._end(_TOO_LARGE)

    def _parse(self, data: bytes) -> None:
        """Raises httptools.HttpParserError."""
        left = memoryview(data)
        while left:
            try:
                self.parser.feed_data(left)
            except httptools.HttpParserUpgrade as upgrade:
                if not self._is_parsed_again:
                    return self.handle_websocket_upgrade()
                self._is_parsed_again = False
                left = left[upgrade.args[0] :]
            else:
                return None
            self.parser.feed_data(self._head_without_upgrade())
        return None

    def _head_without_upgrade(self) -> bytes:
        method, version = self.scope["method"].encode(), self.scope["http_version"].encode()
        kept = [each for each in self.headers if each[0] != b"upgrade"]
        fields = (b"%s: %s\r\n" % each for each in kept)
        return b"%s %s HTTP/%s\r\n%s\r\n" % (method, self.url, version, b"".join(fields))

    def _should_upgrade(self) -> bool:
        """Whether the client opens a WebSocket (RFC 6455, 4.1)."""
        names = (value.lower() for name, value in self.headers if name == b"upgrade")
        return self.parser.get_method() == b"GET" and b"websocket" in names

    def on_message_begin(self) -> None:
        self._in_head, self._head, self._request_since = True, 0, self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head + self._chunk > self.max_head_bytes:  # unless the rest is a long body
            head = sum(len(name) + len(value) for name, value in self.headers)
            if len(self.url) + head > self.max_head_bytes:
                self._end(_TOO_LARGE)
                raise ValueError("the head is too large")
        is_offer = self.parser.should_upgrade()
        if is_offer and not self._should_upgrade():
            self._refuse_upgrade()
            return
        super().on_headers_complete()
        if not is_offer:
            self.headers = _Trailers()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.idle_since = None
        cycle.scope["extensions"] = {EXTENSION: WholeAnswer(cycle)}  # type: ignore[dict-item]
        super()._start_asgi_task(cycle, app)

    def _refuse_upgrade(self) -> None:
        method = self.parser.get_method()
        if method == b"CONNECT":  # to another server: this is no proxy
            self._end(b"501 Not Implemented")
            raise ValueError("the request is for a proxy")
        self.scope["method"] = method.decode("ascii")
        self.scope["http_version"] = self.parser.get_http_version()
        self._is_parsed_again = True

    def on_body(self, body: bytes) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            self._end(b"400 Bad Request")
            raise ValueError("the chunks are too small")
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._is_parsed_again:
            return
        self._request_since, self._has_ended = None, True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Does nothing if the connection has been answered and is closing already."""
        self._end(b"400 Bad Request", msg.encode())

    def expire(self, timeout: float) -> None:
        """Closes the connection if a request took `timeout` (s) to arrive, or nobody reads.

        An incomplete request is answered by 408. A connection without a request is closed after
        uvicorn's `timeout_keep_alive`. Who reads an answer has time as long as they read
        _LEAST_READ in each `timeout`.
        """
        now = self.loop.time()
        is_closing = self.transport.is_closing()
        if not is_closing and self._request_since and now - self._request_since > timeout:
            if self.cycle and self.cycle.response_complete:
                self.transport.close()  # the client went on sending after its answer
            else:
                self._end(b"408 Request Timeout")
        elif not is_closing and self._is_idle(now):
            self.transport.close()
        elif not (unread := self.transport.get_write_buffer_size()):
            self._unread_since = None
            if is_closing:
                self.transport.abort()
        elif self._unread_since is None or self._sent(unread) - self._sent_then >= _LEAST_READ:
            self._unread_since, self._sent_then = now, self._sent(unread)
        elif now - self._unread_since > timeout:
            self.transport.abort()

    def _is_idle(self, now: float) -> bool:
        """Whether the last answer was given long ago, and no request has begun since.

        On a busy machine one may have arrived that could not be read yet: to close then would reset
        the connection, and its client could not know whether it was served.
        """
        is_between = self.idle_since is not None and not self._request_since
        if not is_between or now - (self.idle_since or now) <= self.timeout_keep_alive:
            return False
        overdue = now - (self.idle_since or now) - self.timeout_keep_alive
        return overdue > _MAX_BUSY or not _in_kernel(
            self.transport.get_extra_info("socket"), _UNREAD
        )

    def _sent(self, unread: int) -> int:
        """The bytes that the peer's kernel has taken."""
        transport: CorkedTransport = self.transport  # type: ignore[assignment]
        return transport.written - unread - _in_kernel(transport.get_extra_info("socket"), _UNSENT)

    def _end(self, status: bytes, body: bytes = b"") -> None:
        if not self.transport.is_closing():
            headers = [*self.server_state.default_headers, *_HEADERS]
            headers.append((b"x-request-id", note_refusal(self.scope, int(status[:3]))))
            headers.append((b"content-length", b"%d" % len(body)))
            fields = b"".join(b"%s: %s\r\n" % header for header in headers)
            self.transport.write(b"HTTP/1.1 %s\r\n%s\r\n%s" % (status, fields, body))
            self.transport.close()
