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


def progress_in_class(student: str, class_id: int) -> str:
    """The channel of what a student does in a class: it carries `progress:…` to its teachers.

    It is the hub's own. No client can name it, because a kind of channel has no `@`.
    """
    return channel(f"progress@{class_id}", student)
