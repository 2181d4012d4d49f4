"""The names of channels."""

from collections.abc import Mapping

ALL = "*"  # carries every message

# The hub's channels that carry each channel that a client has named: mostly the one of that name.
Carriers = Mapping[str, frozenset[str]]

# A student may be called `*` or `a,b`; the channels of `progress:*` and `?channels=a,b` may not.
_ESCAPES = str.maketrans({"%": "%25", ",": "%2C", "*": "%2A"})


def channel(kind: str, student: str) -> str:
    """A student's channel of that kind."""
    return f"{kind}:{student.translate(_ESCAPES)}"


def in_class(name: str, class_id: int) -> str:
    """The hub's channel for that part of a student's channel `name` that is of one class.

    It carries `progress:…` to the class's teachers. No client can name it: no kind of channel has
    an `@`.
    """
    return f"{class_id}@{name}"
