"""Payloads as the bodies of entries: MessagePack, and what a damaged body still tells."""

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import chain, islice
from typing import Any

import msgspec

from monitor.events.event import Event, Payload, Rejected, Source
from monitor.pipeline.spool.frames import Parts
from monitor.pipeline.spool.segment import Entry

encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Payload).decode
_decode_event = msgspec.msgpack.Decoder(Event).decode

# How an event begins: a map of more than 15 fields, and a UUID as the first one. No text of a
# request contains it, for it isn't UTF-8.
_EVENT_START = re.compile(rb"\xde\x00.\xa2id\xd9\x24", re.DOTALL)
# The lengths of MessagePack's types by their first byte: of a value, and of the number of bytes,
# of values or of pairs that follow.
_FIXED = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_FIXED |= {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17}
_BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_ARRAYS = {0xDC: 2, 0xDD: 4}
_MAPS = {0xDE: 2, 0xDF: 4}
_COUNTED = ((_BYTES, 0, 0), (_EXTENSIONS, 1, 0), (_ARRAYS, 0, 1), (_MAPS, 0, 2))


def payload_of(entry: Entry) -> tuple[Payload, int]:
    """The payload of an entry, and how many of its items could not be read.

    Those, and all items of a body that is intact but can't be decoded, are dead letters.
    """
    if entry.body is None:
        return Payload([], _letters(entry, 0)), entry.items
    if entry.intact is None:
        return _intact(entry.items, entry.body), 0
    events = list(islice(_intact_events(entry.body, entry.intact), entry.items))
    return Payload(events, _letters(entry, len(events))), entry.items - len(events)


def _intact(count: int, content: bytes) -> Payload:
    reason = "The spool holds it in a form that can't be read"
    try:
        if len(payload := _decode(content)) == count:
            for event in payload.events:
                event.source = _same(event.source)
            return payload
    except msgspec.MsgspecError as error:
        reason += f": {error}"
    letters = [Rejected(index, "", reason, raw) for index, raw in enumerate(_raw(count, content))]
    return Payload([], letters)


def _letters(entry: Entry, first: int) -> list[Rejected]:
    """A dead letter for each item from the position `first` on."""
    reason = (
        f"It could not be read in the spool: bytes {entry.offset} to {entry.end} of {entry.file}"
        f" are damaged (item {entry.number})"
    )
    return [
        Rejected(index=index, path="", reason=reason, raw="", received_at=entry.since)
        for index in range(first, entry.items)
    ]


@lru_cache(4096)
def _same(source: Source) -> Source:
    """One object for equal sources: what is known of a student and a source is found by it."""
    return source


def _raw(count: int, content: bytes) -> list[str]:
    with suppress(msgspec.MsgspecError, TypeError):
        items = chain.from_iterable(msgspec.msgpack.decode(content, type=list[list[Any]]))
        if len(texts := [msgspec.json.encode(item).decode() for item in items]) == count:
            return texts
    return [content.hex(), *[""] * (count - 1)]


def _intact_events(body: bytes, intact: Parts) -> Iterator[Event]:
    """The events that lie in intact parts as a whole."""
    for first, end in intact:
        part = body[first:end]
        for match in _EVENT_START.finditer(part):
            with suppress(IndexError, msgspec.MsgspecError):  # it ends in a damaged part
                event = _decode_event(part[match.start() : _end_of(part, match.start())])
                event.source = _same(event.source)
                yield event


def _end_of(data: bytes, position: int) -> int:
    """Where the value of MessagePack at a position ends. Raises IndexError beyond the data."""
    values = 1
    while values:
        kind, values = data[position], values - 1
        position += 1
        length, count = _extent(data, position, kind)
        position += length
        values += count
    return position


def _extent(data: bytes, position: int, kind: int) -> tuple[int, int]:
    """The bytes after the first one, up to the values that it contains; and their number."""
    if kind < 0x80 or kind >= 0xE0:
        return 0, 0
    if kind < 0x90:
        return 0, 2 * (kind & 0x0F)
    if kind < 0xA0:
        return 0, kind & 0x0F
    if kind < 0xC0:
        return kind & 0x1F, 0
    if kind in _FIXED:
        return _FIXED[kind], 0
    return _counted(data, position, kind)


def _counted(data: bytes, position: int, kind: int) -> tuple[int, int]:
    for widths, extra, values in _COUNTED:
        if width := widths.get(kind):
            count = int.from_bytes(data[position : position + width])
            return width + (0 if values else count + extra), values * count
    raise IndexError
