"""The metadata of an event: a JSON object whose values stay as the client sent them."""

import math
import re
from typing import Any

import msgspec

from monitor.errors import InvalidItem

Metadata = dict[str, msgspec.Raw]

MAX_CHARACTERS = 256 * 1024
_UNUSUAL_NUMBER = re.compile("[eE][+-]?[0-9]{3}|[0-9]{1000}")
_MAX_SCALE = 16_383  # decimal places that PostgreSQL can store


def checked(metadata: Metadata) -> str:
    """The metadata as JSON that PostgreSQL accepts and parses quickly. Raises InvalidItem."""
    text = msgspec.json.encode(metadata).decode()
    if len(text) > MAX_CHARACTERS:
        raise InvalidItem("metadata", f"Longer than {MAX_CHARACTERS} characters")
    if _UNUSUAL_NUMBER.search(text):
        try:
            _NUMBERS.decode(text)
        except msgspec.ValidationError as error:
            raise InvalidItem("metadata", str(error)) from None
    return text


def merged(metadata: Metadata | None, others: Metadata) -> Metadata:
    """Both objects in one; if they share a key, `metadata` moves under the key `metadata`."""
    if not metadata or metadata.keys().isdisjoint(others):
        return {**(metadata or {}), **others}
    return {**others, "metadata": as_raw(metadata)}


def as_raw(value: Any) -> msgspec.Raw:
    """The value encoded as a value of metadata."""
    return msgspec.Raw(msgspec.json.encode(value))


def _number(text: str) -> float:
    mantissa, _, exponent = text.lower().partition("e")
    scale = len(mantissa.partition(".")[2]) - int(exponent or 0)
    if scale > _MAX_SCALE or math.isinf(number := float(text)):
        raise ValueError("Number out of range")
    return number


_NUMBERS = msgspec.json.Decoder(float_hook=_number)
