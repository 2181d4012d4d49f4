"""Reading a request's body: of the right type, never larger than allowed, inflated if need be."""

import asyncio
import zlib
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from monitor.errors import MonitorError, TooLarge, Unavailable, Unsupported

JSON = "application/json"
DECODE_IN_THREAD = 512 * 1024  # bytes; more of them would hold up other requests
_MAX_GUNZIPS = 4  # at once
_MAX_MEMBERS = 16  # each is copied, so that many small ones would cost without end


class BrokenGzip(MonitorError):
    """The body says that it is gzip, but it is not, or not whole."""


class Bodies:
    """Reads bodies, each of at most `max_bytes`, before and after gunzip.

    Of bodies that have come in part, `max_held` bytes are held in all: however many clients send
    slowly, memory is bounded.
    """

    def __init__(self, max_bytes: int, max_held: int) -> None:
        self._max_bytes = max_bytes
        self._max_held = max_held
        self._held = 0
        self._gunzips = asyncio.Semaphore(_MAX_GUNZIPS)

    async def read(self, scope: Scope, receive: Receive, media_type: str = JSON) -> bytes:
        """Raises Unsupported, TooLarge, BrokenGzip, or Unavailable when too much is held."""
        headers = dict(scope["headers"])
        given = _value(headers, b"content-type", media_type).partition(";")[0].rstrip()
        if given != media_type and not (media_type == JSON and given.endswith("+json")):
            raise Unsupported(f"Content-Type {given!r}: send {media_type}")
        encoding = _value(headers, b"content-encoding", "identity")
        if encoding not in ("identity", "gzip", "x-gzip"):
            raise Unsupported(f"Content-Encoding {encoding!r}: send gzip or identity")
        length = _value(headers, b"content-length", "0")
        if length.isdigit() and int(length) > self._max_bytes:
            raise _too_large(self._max_bytes)
        held: list[bytes] = []
        try:
            async for chunk in _chunks(receive):
                held.append(chunk)
                self._hold(len(chunk))
                if sum(map(len, held)) > self._max_bytes:
                    raise _too_large(self._max_bytes)
            body = b"".join(held)
            if encoding == "identity":
                return body
            async with self._gunzips:
                return await run_in_threadpool(_gunzip, body, self._max_bytes)
        finally:
            self._hold(-sum(map(len, held)))

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held > self._max_held and size > 0:
            raise Unavailable(f"{self._held} bytes of requests are being received")


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        yield message.get("body", b"")


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
            raise _too_large(max_bytes)
        if not member.eof:
            raise BrokenGzip("The body is not whole: its gzip stream ends too early")
        body = member.unused_data
        if not body:
            return inflated
    raise BrokenGzip(f"The body has more than {_MAX_MEMBERS} gzip members")


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The body is larger than the limit, {max_bytes} bytes")
