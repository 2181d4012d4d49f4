"""Reads a request's body: checks its type, limits its size, decompresses gzip."""

import asyncio
import zlib

from starlette.concurrency import run_in_threadpool
from starlette.types import Message, Receive, Scope

from monitor.errors import ClientGone, MonitorError, TooLarge, Unavailable, Unsupported

JSON = "application/json"
THREAD_THRESHOLD_BYTES = 512 * 1024  # larger bodies are decoded in a thread
_MAX_GUNZIPS = 4  # at the same time
_MAX_MEMBERS = 16  # of a gzip body; each copies the rest, so many small ones would be slow


class BrokenGzip(MonitorError):
    """The body is declared as gzip, but is not, or ends too early."""


class BodyReader:
    """Reads bodies of at most `max_bytes` each, before and after decompression.

    All incomplete bodies together take at most `max_held` bytes, so that memory is bounded however
    many clients send slowly.
    """

    def __init__(self, max_bytes: int, max_held: int) -> None:
        self._max_bytes = max_bytes
        self._max_held = max_held
        self._held = 0
        self._gunzips = asyncio.Semaphore(_MAX_GUNZIPS)

    async def read(self, scope: Scope, receive: Receive, media_type: str = JSON) -> bytes:
        """The body, decompressed.

        Raises Unsupported, TooLarge, BrokenGzip, ClientGone, and Unavailable when incomplete bodies
        take too much memory.
        """
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
    sent = _value(headers, b"content-type", media_type).partition(";")[0].rstrip()
    if sent != media_type and not (media_type == JSON and sent.endswith("+json")):
        raise Unsupported(f"Content-Type {sent!r}: send {media_type}")
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
            raise BrokenGzip("The gzip stream of the body ends too early")
        body = member.unused_data
        if not body:
            return inflated
    raise BrokenGzip(f"The body has more than {_MAX_MEMBERS} gzip members")


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The body is larger than the limit, {max_bytes} bytes")
