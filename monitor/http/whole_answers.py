"""Whole answers in one step, past uvicorn, which checks each header of each answer anew."""

from functools import lru_cache
from weakref import ref

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

Headers = tuple[tuple[bytes, bytes], ...]

EXTENSION = "cell_monitor.whole_answer"  # of ASGI: the WholeAnswer of a request


class WholeAnswer:
    """Answers a request whose client waits for it on a connection that stays open."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = ref(cycle)  # whose scope has this: it must not wait for the collector

    def send(self, status: int, headers: Headers, own: tuple[bytes, bytes], body: bytes) -> bool:
        """Writes the answer; or nothing, and returns False, where ASGI's `send` has to do it.

        `headers` are the same for many answers, `own` is a header of this one. The length of the
        body is added.
        """
        cycle = self._cycle()
        if cycle is None or not cycle.keep_alive or cycle.disconnected or cycle.flow.write_paused:
            return False
        head = _head(status, (*cycle.default_headers, *headers))
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        length = len(body)
        cycle.transport.write(
            b"%scontent-length: %d\r\n%s: %s\r\n\r\n%s" % (head, length, *own, body)
        )
        cycle.on_response()
        return True


def whole_answer(scope: Scope) -> WholeAnswer | None:
    """That of the request, if its server offers it."""
    known: WholeAnswer | None = scope.get("extensions", {}).get(EXTENSION)
    return known


@lru_cache(256)
def _head(status: int, headers: Headers) -> bytes:
    """Raises ValueError if a header is malformed."""
    for name, value in headers:
        if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
            raise ValueError(f"The header {name!r} can't be sent")
    fields = (b"%s: %s\r\n" % header for header in headers)
    return STATUS_LINE[status] + b"".join(fields)
