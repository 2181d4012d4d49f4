"""Reading a request's body: of the right type, never larger than allowed, inflated if need be."""

import zlib

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from monitor.errors import MonitorError, TooLarge, Unsupported

JSON = "application/json"
DECODE_IN_THREAD = 512 * 1024  # bytes; more of them would hold up other requests
_MAX_MEMBERS = 16  # each is copied, so that many small ones would cost without end


class BrokenGzip(MonitorError):
    """The body says that it is gzip, but it is not, or not whole."""


async def read_json(request: Request, max_bytes: int) -> bytes:
    """The body of a JSON request, at most `max_bytes` before and after gunzip.

    Raises Unsupported, TooLarge or BrokenGzip.
    """
    return await read_body(request, max_bytes, JSON)


async def read_body(request: Request, max_bytes: int, media_type: str) -> bytes:
    """The same for a body of another type."""
    headers = dict(request.scope["headers"])  # a look-up in request.headers walks through them all
    given = _value(headers, b"content-type", media_type).partition(";")[0].rstrip()
    if given != media_type and not (media_type == JSON and given.endswith("+json")):
        raise Unsupported(f"Content-Type {given!r}: send {media_type}")
    encoding = _value(headers, b"content-encoding", "identity")
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise Unsupported(f"Content-Encoding {encoding!r}: send gzip or identity")
    length = _value(headers, b"content-length", "0")
    if length.isdigit() and int(length) > max_bytes:
        raise _too_large(max_bytes)
    body = await _read(request, max_bytes)
    if encoding == "identity":
        return body
    return await run_in_threadpool(_gunzip, body, max_bytes)


def _value(headers: dict[bytes, bytes], name: bytes, default: str) -> str:
    return headers[name].decode("latin-1").strip().lower() if headers.get(name) else default


async def _read(request: Request, max_bytes: int) -> bytes:
    body = b""
    async for chunk in request.stream():
        body = body + chunk if body else chunk
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return body


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
