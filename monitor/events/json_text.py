"""JSON as some clients write it, made JSON as its grammar has it. Each function is linear."""

import codecs
import re
from collections.abc import Callable

_BOMS = {  # in this order: that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NO_NUMBER = re.compile(b"NaN|Infinity")
_NO_NUMBER_VALUE = re.compile(rb"(?<![^\s:,\[])[-+]?(?:NaN|Infinity)(?![^\s,\]}])")
_SLICE = 256 * 1024  # bytes; `re` lets no other thread run
_BEFORE = 2  # bytes that decide whether it is a value: a sign, and what is before it


def in_utf8(body: bytes) -> bytes:
    """The text in UTF-8 without a byte order mark. Raises UnicodeDecodeError."""
    if body.startswith(codecs.BOM_UTF8):
        return body[len(codecs.BOM_UTF8) :]
    for bom, encoding in _BOMS.items():
        if body.startswith(bom):
            return body.decode(encoding).encode()
    return body


def with_quoted_nan(body: bytes) -> bytes:
    """The text, as long, with a string for each NaN and Infinity outside of strings."""
    return without_nan(body, lambda match: b'"' + match[0][:-2] + b'"')


def without_nan(
    body: bytes, replacement: bytes | Callable[[re.Match[bytes]], bytes] = b"null"
) -> bytes:
    """The text with null for each NaN and Infinity, of either sign, outside of strings."""
    if b"NaN" not in body and b"Infinity" not in body:
        return body
    plain = with_plain_quotes(body)
    replaced, copied_to, counted_to = bytearray(), 0, 0
    while match := _NO_NUMBER.search(plain, counted_to):
        start = match.start()
        in_string = plain.count(b'"', counted_to, start) % 2
        quote = plain.find(b'"', start)
        if in_string:
            if quote < 0:
                break
            counted_to = quote + 1
            continue
        counted_to = _end_of_slice(plain, start, quote if quote >= 0 else len(plain))
        start = max(start - _BEFORE, copied_to)
        replaced += body[copied_to:start]
        replaced += _NO_NUMBER_VALUE.sub(replacement, body[start:counted_to])
        copied_to = counted_to
    return bytes(replaced + body[copied_to:]) if copied_to else body


def _end_of_slice(plain: bytes, start: int, end: int) -> int:
    """Where a slice ends that has no part of a string: at `end`, or at a comma before."""
    comma = plain.find(b",", start + _SLICE, end)
    return end if comma < 0 else comma


def with_plain_quotes(text: bytes) -> bytes:
    """Text of the same length in which each quote begins or ends a string, for its structure."""
    return text.replace(rb"\\", b"xx").replace(rb"\"", b"xx")
