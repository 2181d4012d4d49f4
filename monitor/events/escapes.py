"""Escapes that are legal JSON, but not for PostgreSQL: NUL, and half of a surrogate pair."""

import re

_ESCAPE = re.compile(rb"\\u")  # `in` takes three times as long where there are many backslashes

# Escaped backslashes and whole pairs match first, so that they are skipped.
_ESCAPES = re.compile(
    rb"(?:\\\\)+"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2}))"
)
_STARTS = (rb"\u0000", rb"\ud", rb"\uD")
_FIRST_HALF = re.compile(rb"\\u[dD][89abAB]..")
_SLICE = 1024 * 1024  # bytes; looking for escapes, `re` lets no other thread run
_LONGEST = 12  # characters of a pair


def repair(body: bytes) -> bytes:
    """The body, as long, with U+FFFD for each escaped NUL or half of a surrogate pair."""
    if not _ESCAPE.search(body) or not any(start in body for start in _STARTS):
        return body
    if len(body) <= _SLICE:
        return _repaired(body)
    repaired, start = bytearray(), 0
    while start < len(body):
        end = _end_of_slice(body, start)
        repaired += _repaired(body[start:end])
        start = end
    return bytes(repaired)


def _repaired(text: bytes) -> bytes:
    return _ESCAPES.sub(lambda match: rb"\ufffd" if match[1] else match[0], text)


def _end_of_slice(body: bytes, start: int) -> int:
    """Where the slice that begins there ends, which is not within an escape, or within a pair."""
    end = start + _SLICE
    if end >= len(body):
        return len(body)
    text = body[start:end].replace(rb"\\", b"xx")
    escape = text.find(b"\\", len(text) - _LONGEST)
    if escape < 0:
        return end
    if _FIRST_HALF.match(text, escape - _LONGEST // 2):
        escape -= _LONGEST // 2
    return start + escape
