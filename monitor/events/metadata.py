"""The metadata of an event: a JSON object whose values stay as the client sent them."""

import math
import re
from typing import Any

import msgspec

from monitor.events.outputs import MAX_PICTURES_LENGTH

Metadata = dict[str, msgspec.Raw]

MAX_CHARACTERS = 256 * 1024  # beside the pictures
MAX_PICTURES_CHARACTERS = MAX_PICTURES_LENGTH + 16 * 1024  # their data, types and sizes
CUT = "cut"  # the key that says what was cut or left out, each with its bytes as sent
_MAX_NAMED = 20  # fields left out, by name
_MAX_NAME = 100  # characters of such a name
_UNUSUAL_NUMBER = re.compile("[eE][+-]?[0-9]{3}|[0-9]{1000}")
_MAX_SCALE = 16_383  # decimal places that PostgreSQL can store
_MAX_EXPONENT = 16_383  # whatever it multiplies, be it 0: PostgreSQL refuses exponents of some size


def checked(metadata: Metadata) -> str:
    """The metadata as JSON that PostgreSQL accepts and parses quickly; `cut` names what isn't."""
    text = msgspec.json.encode(metadata).decode()
    if len(text) > MAX_CHARACTERS or _UNUSUAL_NUMBER.search(text):
        return msgspec.json.encode(_storable(metadata)).decode()
    return text


def _storable(metadata: Metadata) -> Metadata:
    """The values that can be stored, in their order as long as there is room for them."""
    kept: Metadata = {}
    left_out: dict[str, int] = {}
    left = MAX_CHARACTERS
    for name, value in metadata.items():
        length = len(bytes(value).decode())
        room = MAX_PICTURES_CHARACTERS if name == "pictures" else left - len(name)
        if length > room or not _has_usual_numbers(value):
            left_out[name] = len(bytes(value))
            continue
        kept[name] = value
        if name != "pictures":
            left -= length + len(name)
    return with_cut(kept, left_out) if left_out else kept


def _has_usual_numbers(value: msgspec.Raw) -> bool:
    if not _UNUSUAL_NUMBER.search(bytes(value).decode()):
        return True
    try:
        _NUMBERS.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def with_cut(metadata: Metadata, cut: dict[str, int]) -> Metadata:
    """The metadata with `cut`: the fields, and their bytes as sent; beyond 20 their sum."""
    names = list(cut)
    named = {name[:_MAX_NAME]: cut[name] for name in names[:_MAX_NAMED]}
    if others := names[_MAX_NAMED:]:
        named["others"] = sum(cut[name] for name in others)
    return merged(metadata, {CUT: as_raw(named)})


def merged(metadata: Metadata | None, others: Metadata) -> Metadata:
    """Both objects in one; if they share a key, `metadata` moves under the key `metadata`."""
    if not metadata or metadata.keys().isdisjoint(others):
        return {**(metadata or {}), **others}
    return {**others, "metadata": as_raw(metadata)}


def merged_json(metadata: str, others: Metadata) -> str:
    """Metadata as an event has it, with others added."""
    fields = msgspec.json.decode(metadata, type=Metadata)
    return msgspec.json.encode(merged(fields, others)).decode()


def as_raw(value: Any) -> msgspec.Raw:
    """The value encoded as a value of metadata."""
    return msgspec.Raw(msgspec.json.encode(value))


def _number(text: str) -> float:
    mantissa, _, digits = text.lower().partition("e")
    exponent = int(digits or 0)
    scale = len(mantissa.partition(".")[2]) - exponent
    if scale > _MAX_SCALE or exponent > _MAX_EXPONENT or math.isinf(number := float(text)):
        raise ValueError("Number out of range")
    return number


_NUMBERS = msgspec.json.Decoder(float_hook=_number)
