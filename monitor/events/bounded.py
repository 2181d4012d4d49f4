"""Arrays of JSON, of which no more elements than a limit are ever in memory."""

from functools import lru_cache

import msgspec
from msgspec.json import Decoder

_ABSENT = msgspec.Raw()


def bounded_array(
    raw: bytes | msgspec.Raw, length: int, *, strict: bool = False
) -> list[msgspec.Raw]:
    """The first elements of an array, at most `length`.

    Raises msgspec.ValidationError if it is no array, or if, with `strict`, it has more elements.
    """
    elements = msgspec.structs.astuple(_decoder(length, strict).decode(raw))
    return [element for element in elements if element is not _ABSENT]


@lru_cache
def _decoder(length: int, strict: bool) -> Decoder[msgspec.Struct]:
    # msgspec builds a whole list before it checks its length; a struct it leaves after its fields.
    fields = [(f"item{index}", msgspec.Raw, _ABSENT) for index in range(length)]
    struct = msgspec.defstruct("Items", fields, array_like=True, forbid_unknown_fields=strict)
    return Decoder(struct)
