"""Finds the fields of a body that are kept as they were sent, such as a notebook.

A worker does it for a large body: each pass over one takes milliseconds in which the server could
do nothing else, also where a thread makes it.
"""

import codecs
import re
from collections.abc import Collection

import msgspec

from monitor.errors import Detail, InvalidBody
from monitor.events.escapes import repair
from monitor.events.json_text import in_utf8, with_quoted_nan
from monitor.http.invalid_bodies import reading_body

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_EMPTY = msgspec.Raw(b"{}")


class Found(msgspec.Struct, tag=True):
    """Where each field is, by its first and last byte, and the `rest` with `{}` in their place."""

    spans: dict[str, tuple[int, int]]
    rest: msgspec.Raw


class Invalid(msgspec.Struct, tag=True):
    """Why the body is not valid."""

    detail: Detail


_FINDINGS: msgspec.json.Decoder[Found | Invalid] = msgspec.json.Decoder(Found | Invalid)


def find(body: bytes, names: Collection[str]) -> tuple[Found, bytes]:
    """The fields of these names, and the body in UTF-8, in which they are.

    They may have NaN and Infinity, and a byte order mark before. Raises InvalidBody.
    """
    with reading_body():
        body = _without_marks(in_utf8(body), names)
        body.decode()  # raises UnicodeDecodeError: msgspec does not check raw fields
        decodable = with_quoted_nan(repair(body))  # as long as the body
        fields = _FIELDS.decode(decodable)
    spans = {}
    for name in fields.keys() & names:
        start = decodable.find(fields[name])  # linear: the field is most of a large body
        spans[name] = start, start + len(memoryview(fields[name]))
        fields[name] = _EMPTY
    return Found(spans, msgspec.Raw(msgspec.json.encode(fields))), body


def find_in_worker(body: bytes, names: str) -> bytes:
    """The same as a worker's job, for names with spaces between: see `found`."""
    try:
        found, kept = find(body, names.split())
    except InvalidBody as error:
        return msgspec.json.encode(Invalid(error.details[0]))
    return msgspec.json.encode(found) + b"\n" + (b"" if kept is body else kept)


def found(answer: bytes, body: bytes) -> tuple[Found, bytes]:
    """What a worker found in a body. Raises InvalidBody."""
    finding, _, kept = answer.partition(b"\n")
    result = _FINDINGS.decode(finding)
    if isinstance(result, Invalid):
        raise InvalidBody(result.detail)
    return result, kept or body


def _without_marks(body: bytes, names: Collection[str]) -> bytes:
    """The body without byte order marks before the fields that are files in clients."""
    if codecs.BOM_UTF8 not in body:
        return body
    keys = "|".join(map(re.escape, names)).encode()
    # A key's last quote is not escaped: this is never within a string.
    return re.sub(rb'("(?:%s)"\s*:\s*)\xef\xbb\xbf' % keys, rb"\1", body)
