"""The names of channels."""

ALL = "*"  # carries every message

# A student may be called `*` or `a,b`; the channels of `progress:*` and `?channels=a,b` may not.
_ESCAPES = str.maketrans({"%": "%25", ",": "%2C", "*": "%2A"})


def channel(kind: str, student: str) -> str:
    """A student's channel of that kind."""
    return f"{kind}:{student.translate(_ESCAPES)}"
