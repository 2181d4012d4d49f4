"""Reading a request's body: of the right type, never larger than allowed, inflated if need be."""

import asyncio
import zlib

from starlette.concurrency import run_in_threadpool
from starlette.types import Message, Receive, Scope

from monitor.errors import ClientGone, MonitorError, TooLarge, Unavailable, Unsupported

JSON = "application/json"
THREAD_THRESHOLD_BYTES = 512 * 1024  # bytes; more of them would hold up other requests
_MAX_GUNZIPS = 4  # at once
_MAX_MEMBERS = 16  # each is copied, so that many small ones would cost without end


class BrokenGzip(MonitorError):
    """The body says that it is gzip, but it is not, or not whole."""


class BodyReader:
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
        gzipped = _is_gzipped(dict(scope["headers"]), media_type, self._max_bytes)
        message = await receive()
        if not gzipped and message["type"] == "http.request" and not message.get("more_body"):
            body: bytes = message.get("body", b"")
            if len(body) > self._max_bytes:
                raise _too_large(self._max_bytes)
            return body
        return await self._read_parts(message, receive, gzipped)

    async def _read_parts(self, message: Message, receive: Receive, gzipped: bool) -> bytes:
        parts: list[bytes] = []
        size = 0
        try:
            while True:
                if message["type"] == "http.disconnect":
                    raise ClientGone("The client left while it was sending")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                self._hold(len(parts[-1]))
                if size > self._max_bytes:
                    raise _too_large(self._max_bytes)
                if not message.get("more_body"):
                    break
                message = await receive()
            body = b"".join(parts)
            if not gzipped:
                return body
            async with self._gunzips:
                return await run_in_threadpool(_gunzip, body, self._max_bytes)
        finally:
            self._held -= size

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held > self._max_held:
            raise Unavailable(f"{self._held} bytes of requests are being received")


def _is_gzipped(headers: dict[bytes, bytes], media_type: str, max_bytes: int) -> bool:
    given = _value(headers, b"content-type", media_type).partition(";")[0].rstrip()
    if given != media_type and not (media_type == JSON and given.endswith("+json")):
        raise Unsupported(f"Content-Type {given!r}: send {media_type}")
    encoding = _value(headers, b"content-encoding", "identity")
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise Unsupported(f"Content-Encoding {encoding!r}: send gzip or identity")
    length = _value(headers, b"content-length", "0")
    if length.isdigit() and int(length) > max_bytes:
        raise _too_large(max_bytes)
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
            raise _too_large(max_bytes)
        if not member.eof:
            raise BrokenGzip("The body is not whole: its gzip stream ends too early")
        body = member.unused_data
        if not body:
            return inflated
    raise BrokenGzip(f"The body has more than {_MAX_MEMBERS} gzip members")


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The body is larger than the limit, {max_bytes} bytes")
