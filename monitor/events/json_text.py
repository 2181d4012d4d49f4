"""JSON as some clients write it, made JSON as its grammar has it. Each function is linear."""

import codecs
import re

_BOMS = {  # in this order: that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NO_NUMBER = re.compile(b"NaN|Infinity")
_BEFORE_VALUE, _AFTER_VALUE = frozenset(b"[:, \t\r\n"), frozenset(b"]}, \t\r\n")


def in_utf8(body: bytes) -> bytes:
    """The text in UTF-8 without a byte order mark. Raises UnicodeDecodeError."""
    if body.startswith(codecs.BOM_UTF8):
        return body[len(codecs.BOM_UTF8) :]
    for bom, encoding in _BOMS.items():
        if body.startswith(bom):
            return body.decode(encoding).encode()
    return body


def without_nan(body: bytes) -> bytes:
    """The text with null for each NaN and Infinity, of either sign, outside of strings."""
    if b"NaN" not in body and b"Infinity" not in body:
        return body
    plain = with_plain_quotes(body)
    replaced, copied_to, counted_to, in_string = bytearray(), 0, 0, 0
    for match in _NO_NUMBER.finditer(plain):
        start, end = match.span()
        in_string ^= plain.count(b'"', counted_to, start) & 1
        counted_to = start
        if in_string:
            continue
        if plain[start - 1 : start] in (b"-", b"+"):
            start -= 1
        if _is_value(plain, start, end):
            replaced += body[copied_to:start]
            replaced += b"null"
            copied_to = end
    return bytes(replaced + body[copied_to:]) if copied_to else body


def _is_value(text: bytes, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    return (not before or before[0] in _BEFORE_VALUE) and (not after or after[0] in _AFTER_VALUE)


def with_plain_quotes(text: bytes) -> bytes:
    """Text of the same length in which each quote begins or ends a string, for its structure."""
    return text.replace(rb"\\", b"xx").replace(rb"\"", b"xx")
