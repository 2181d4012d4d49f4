"""What is wrong with a body or a parameter, in the words of FastAPI's clients."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from monitor.errors import Detail, InvalidBody

_MISSING = re.compile("Object missing required field `(.*)`")
_STEP = re.compile(r"\.([^.\[`]+)|\[(\d+|\.\.\.)\]")


@contextmanager
def reading_body() -> Iterator[None]:
    """Raises InvalidBody where decoding it fails."""
    try:
        yield
    except msgspec.ValidationError as error:
        raise InvalidBody(detail(error, "body")) from None
    except msgspec.DecodeError as error:
        raise invalid_json(str(error)) from None
    except UnicodeDecodeError as error:
        raise invalid_json(f"The body is not UTF-8: {error.reason}") from None
    except RecursionError:
        raise invalid_json("The body is nested too deeply") from None


def detail(error: msgspec.ValidationError, *where: str) -> Detail:
    """What a field has instead of what it should have; `where` is what was decoded."""
    reason, _, path = str(error).partition(" - at `$")
    steps = [
        int(index) if index.isdigit() else name or index for name, index in _STEP.findall(path)
    ]
    if missing := _MISSING.match(reason):
        return Detail((*where, *steps, missing[1]), "Field required", "missing")
    kind = "type_error" if reason.startswith("Expected") else "value_error"
    return Detail((*where, *steps), reason, kind)


def invalid_json(reason: str) -> InvalidBody:
    """The whole body is none."""
    return InvalidBody(Detail(("body",), reason, "json_invalid"))
