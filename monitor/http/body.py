"""Reads a request's body: checks its type, limits its size, decompresses gzip."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.concurrency import run_in_threadpool
from starlette.types import Message, Receive, Scope

from monitor.auth.call import Call
from monitor.errors import ClientGone, MonitorError, TooLarge, Unsupported
from monitor.shares import Share, Turns

JSON = "application/json"
LARGE_BODY = 512 * 1024  # bytes; larger ones are decoded by a worker or in a thread
_MAX_GUNZIPS = 4  # at the same time
_MAX_GUNZIPS_OF_CALLER = 64  # at work or waiting; a class's key may stand for many students
_MAX_MEMBERS = 16  # of a gzip body; each copies the rest, so many small ones would be slow


class BrokenGzip(MonitorError):
    """The body is declared as gzip, but is not, or ends too early."""


class BodyReader:
    """Reads bodies of at most `max_bytes` each, before and after decompression.

    All incomplete bodies together take at most `max_held` bytes, those of one caller their part of
    that, so that memory is bounded however many clients send slowly, and some is left for others.
    """

    default_type = ""  # the type of a body that names none; empty: the one wanted

    def __init__(self, max_bytes: int, max_held: int) -> None:
        self.max_bytes = max_bytes
        self._max_held = max_held
        self.held = Share("bytes of requests", each=max_held, total=max_held)
        # A refusal isn't delayed: it would keep its body in memory.
        self.waiting = Share("bytes of calls", each=max_held, total=max_held, delay=0.0)
        self.gunzips = Turns("gzip bodies", at_once=_MAX_GUNZIPS, each=_MAX_GUNZIPS_OF_CALLER)

    async def read(self, scope: Scope, receive: Receive, media_type: str = JSON) -> bytes:
        """The body, decompressed.

        Raises Unsupported, TooLarge, BrokenGzip, ClientGone, and OverLimit or Unavailable when
        incomplete bodies, of the caller or of all, take too much memory.
        """
        headers = dict(scope["headers"])
        if headers.get(b"content-type") != media_type.encode():
            default = self.default_type or media_type
            sent = _value(headers, b"content-type", default).partition(";")[0].rstrip()
            if sent != media_type and not (media_type == JSON and sent.endswith("+json")):
                self._check_type(scope, sent, media_type)
        gzipped = b"content-encoding" in headers and _is_gzipped(headers)
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self.max_bytes:
            self._grow(scope, int(length))
        message = await receive()
        if not gzipped and message["type"] == "http.request" and not message.get("more_body"):
            body: bytes = message.get("body", b"")
            if len(body) > self.max_bytes:
                self._grow(scope, len(body))
            return body
        return await self._read_parts(scope, message, receive, gzipped)

    async def _read_parts(
        self, scope: Scope, message: Message, receive: Receive, gzipped: bool
    ) -> bytes:
        parts: list[bytes] = []
        size = held = 0
        call: Call = scope["call"]
        payer, each = call.payer, self._each(call)
        try:
            while True:
                if message["type"] == "http.disconnect":
                    raise ClientGone("The client left while it was sending")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > self.max_bytes:
                    self._grow(scope, size)
                else:
                    self.held.take(payer, len(parts[-1]), each=each)
                    held = size
                if not message.get("more_body"):
                    break
                message = await receive()
            body = b"".join(parts)
            parts.clear()
            return await self._inflated(scope, body) if gzipped else body
        finally:
            if held:
                self.held.give_back(payer, held)

    @contextmanager
    def hold(self, call: Call, size: int) -> Iterator[None]:
        """Counts a body that was read, as long as the block keeps it while it waits for its turn.

        Raises OverLimit and Unavailable when such bodies, of the caller or of all, take too much.
        """
        with self.waiting.hold(call.payer, size, each=self._each(call)):
            yield

    def _each(self, call: Call) -> int:
        """The most bytes that the call's payer may hold."""
        return max(self.max_bytes, int(self._max_held * call.part))

    def _check_type(self, scope: Scope, sent: str, media_type: str) -> None:
        """Raises Unsupported: bodies of another type than the one wanted are not read."""
        raise Unsupported(f"Content-Type {sent!r}: send {media_type}")

    def _grow(self, scope: Scope, size: int) -> None:
        """Raises TooLarge: no body may be larger than `max_bytes`."""
        raise too_large(self.max_bytes)

    async def _inflated(self, scope: Scope, body: bytes) -> bytes:
        return await self._gunzip(scope, body, self.max_bytes)

    async def _gunzip(self, scope: Scope, body: bytes, max_bytes: int) -> bytes:
        async with self.gunzips.turn(scope["call"].payer):
            return await run_in_threadpool(_gunzip, body, max_bytes)


def too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The body is larger than the limit, {max_bytes} bytes")


def _is_gzipped(headers: dict[bytes, bytes]) -> bool:
    encoding = _value(headers, b"content-encoding", "identity")
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise Unsupported(f"Content-Encoding {encoding!r}: send gzip or identity")
    return encoding != "identity"


def _value(headers: dict[bytes, bytes], name: bytes, default: str) -> str:
    return headers[name].decode("latin-1").strip().lower() if headers.get(name) else default


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    inflated = b""
    for _ in range(_MAX_MEMBERS):
        member = zlib.decompressobj(wbits=31)
        try:
            inflated += member.decompress(body, max_bytes + 1 - len(inflated))
        except zlib.error as error:
            raise BrokenGzip(f"The body is not gzip: {error}") from None
        if len(inflated) > max_bytes:
            raise too_large(max_bytes)
        if not member.eof:
            raise BrokenGzip("The gzip stream of the body ends too early")
        body = member.unused_data
        if not body:
            return inflated
    raise BrokenGzip(f"The body has more than {_MAX_MEMBERS} gzip members")
