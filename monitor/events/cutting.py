"""Cuts the fields of one large event, so that it is stored without what it has too much of."""

import re
from collections.abc import Iterable
from functools import lru_cache

import msgspec
from msgspec.json import Decoder

from monitor.errors import TooLarge
from monitor.events.json_text import with_plain_quotes
from monitor.events.metadata import Metadata, with_cut

_MAX_FIELD = 1024 * 1024  # bytes of each field but the output, which has what is left
_OUTPUTS = frozenset({"result", "output", "outputs"})
_MAX_QUOTES = 400_000  # in a value that is cut: looking at more would take seconds
_MAX_BRACKETS = 100_000
_STRING = re.compile(b'"[^"]*"')
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_CLOSING = {ord("["): b"]", ord("{"): b"}"}
_ESCAPE_LENGTH, _UNICODE_ESCAPE_LENGTH = 2, 6  # of `\n` and of `\u3042`
_ABSENT = msgspec.Raw()
_FIELDS = Decoder(dict[str, msgspec.Raw])
_ITEM = Decoder(list[msgspec.Raw])


def cut(body: bytes, limit: int, names: frozenset[str]) -> bytes:
    """An array of one event, with fields of these names, cut to about `limit` bytes.

    Its metadata says under `cut` what was cut or left out. Raises TooLarge if it has several
    events, and msgspec.DecodeError.
    """
    first, second = msgspec.structs.astuple(_one_event(names).decode(body))
    if second is not _ABSENT:
        raise TooLarge(f"The body of several events is larger than the limit, {limit} bytes")
    fields = {name: raw for name in names if (raw := getattr(first, name)) is not _ABSENT}
    rest = len(body) - sum(_size(raw) for raw in fields.values())
    left_out: dict[str, int] = {}
    if rest > _MAX_FIELD:
        left_out["others"] = rest
    else:  # so that it can't have too many fields
        fields = _FIELDS.decode(_ITEM.decode(body)[0])
    metadata = _metadata(fields, left_out)
    _shorten(fields, limit, left_out)
    fields["metadata"] = msgspec.Raw(msgspec.json.encode(with_cut(metadata, left_out)))
    return msgspec.json.encode([fields])


@lru_cache
def _one_event(names: frozenset[str]) -> Decoder[msgspec.Struct]:
    """Decodes an array into its first item, with these fields only, and the item after that."""
    first = msgspec.defstruct("Fields", [(name, msgspec.Raw, _ABSENT) for name in sorted(names)])
    items = msgspec.defstruct(
        "Items", [("first", first), ("second", msgspec.Raw, _ABSENT)], array_like=True
    )
    return Decoder(items)


def _metadata(fields: Metadata, left_out: dict[str, int]) -> Metadata:
    """Takes the metadata out of the fields; that which is too large is left out."""
    raw = fields.pop("metadata", msgspec.Raw(b"null"))
    if _size(raw) > _MAX_FIELD:
        left_out["metadata"] = _size(raw)
        return {}
    if bytes(raw).startswith(b"{"):
        return _FIELDS.decode(raw)
    return {} if bytes(raw) == b"null" else {"metadata": raw}


def _shorten(fields: Metadata, limit: int, left_out: dict[str, int]) -> None:
    """Cuts the values that are too long, those of the outputs last."""
    left = limit - _MAX_FIELD
    for name in sorted(fields, key=_OUTPUTS.__contains__):
        raw = fields[name]
        size, room = _size(raw), left if name in _OUTPUTS else min(left, _MAX_FIELD)
        if size > room:
            left_out[name] = size
            fields[name] = msgspec.Raw(closed(bytes(memoryview(raw)[: max(room, 0)])))
            size = _size(fields[name])
        left -= size


def closed(start: bytes) -> bytes:
    """A JSON value as far as this is its start, up to the last string in it; null without one."""
    plain = with_plain_quotes(start)
    while (quotes := plain.count(b'"')) > _MAX_QUOTES:
        start = start[: len(start) * _MAX_QUOTES // (2 * quotes)]
        plain = with_plain_quotes(start)
    end = plain.rfind(b'"')
    if quotes % 2:  # it ends within a string
        opening, value = end, _without_partial_character(start, plain) + b'"'
    else:
        opening, value = plain.rfind(b'"', 0, max(end, 0)), start[: end + 1]
    if opening < 0:
        return b"null"
    before = _STRING.sub(b"", plain[:opening]).rstrip()
    brackets = before.translate(None, _NO_BRACKETS)
    if len(brackets) > _MAX_BRACKETS:
        return b"null"
    still_open = _still_open(brackets)
    if still_open and still_open[-1] == ord("{") and before[-1:] in (b"{", b","):  # it is a key
        value = start[:opening].rstrip().removesuffix(b",")
    return value + b"".join(_CLOSING[bracket] for bracket in reversed(still_open))


def _still_open(brackets: Iterable[int]) -> list[int]:
    still_open: list[int] = []
    for bracket in brackets:
        if bracket in _CLOSING:
            still_open.append(bracket)
        else:
            still_open.pop()
    return still_open


def _without_partial_character(start: bytes, plain: bytes) -> bytes:
    """The start of a string up to its last escape, or character in UTF-8, that is complete."""
    length = len(start)
    escape = plain.rfind(b"\\", max(length - _UNICODE_ESCAPE_LENGTH + 1, 0))
    if escape >= 0:
        is_unicode = plain[escape + 1 : escape + 2] == b"u"
        if length - escape < (_UNICODE_ESCAPE_LENGTH if is_unicode else _ESCAPE_LENGTH):
            return start[:escape]
    while length and start[length - 1] & 0xC0 == 0x80:
        length -= 1
    if length and start[length - 1] >= 0xC0:
        length -= 1
    return start[:length]


def _size(raw: msgspec.Raw) -> int:
    return memoryview(raw).nbytes
