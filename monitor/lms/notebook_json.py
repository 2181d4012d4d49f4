"""JSON of a notebook, read lazily: values stay bytes, and what isn't needed is skipped."""

import re
from typing import Generic, TypeVar

import msgspec

from monitor.events.bounded import bounded_array

ABSENT = msgspec.Raw()

# The bytes are JSON already, so strings with commas between are all that an array of strings has.
# Possessive: no backtracking, and nothing is kept.
_STRINGS = re.compile(rb'\[(?:"(?:[^"\\]++|\\.)*+"|[\s,]++)*+\]', re.DOTALL)
_UNKNOWN_FIELD = re.compile("unknown field `(.*)`", re.DOTALL)
_FEW_BYTES = 64 * 1024  # of an array, whose elements need no limit

T = TypeVar("T", bound=msgspec.Struct)


class Objects(Generic[T]):
    """Decodes objects whose fields, all of the type msgspec.Raw, may be absent."""

    def __init__(self, kind: type[T]) -> None:
        strict = msgspec.defstruct(kind.__name__, [], bases=(kind,), forbid_unknown_fields=True)
        self._strict: msgspec.json.Decoder[T] = msgspec.json.Decoder(strict)
        self._tolerant = msgspec.json.Decoder(kind)

    def decode(self, raw: bytes | msgspec.Raw) -> tuple[T, str | None]:
        """The object, and the name of a field that its type hasn't, if there is one.

        Raises msgspec.ValidationError if it is no object.
        """
        try:
            return self._strict.decode(raw), None
        except msgspec.ValidationError as error:
            unknown = _UNKNOWN_FIELD.search(str(error))
        return self._tolerant.decode(raw), unknown[1] if unknown else None


def array(raw: msgspec.Raw, max_length: int) -> list[msgspec.Raw] | None:
    """The elements of an array; None if there are more.

    Raises msgspec.ValidationError if it is no array.
    """
    if len(memoryview(raw)) <= _FEW_BYTES:
        elements = _ARRAY.decode(raw)
        return elements if len(elements) <= max_length else None
    try:
        return bounded_array(raw, max_length, strict=True)
    except msgspec.ValidationError:
        if not is_array(raw):
            raise
        return None


def is_object(raw: msgspec.Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b"{"


def is_array(raw: msgspec.Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b"["


def is_string(raw: msgspec.Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b'"'


def is_strings(raw: msgspec.Raw) -> bool:
    """Whether it is an array of strings only."""
    return _STRINGS.fullmatch(memoryview(raw)) is not None


def is_text(raw: msgspec.Raw) -> bool:
    """Whether it is text as notebooks have it: a string, or an array of lines."""
    return is_string(raw) or is_strings(raw)


def string(raw: msgspec.Raw) -> str | None:
    """The string; None if it is none."""
    return _STRING.decode(raw) if is_string(raw) else None


def whole_number(raw: msgspec.Raw) -> int | None:
    """The whole number, 0 or more; None if it is none. 4.0 is 4."""
    try:
        number = _NUMBER.decode(raw)
    except msgspec.MsgspecError:
        return None
    return int(number) if number >= 0 and number == int(number) else None


_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_STRING = msgspec.json.Decoder(str)
_NUMBER = msgspec.json.Decoder(int | float)
