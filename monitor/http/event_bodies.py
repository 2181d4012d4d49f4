"""Reads bodies of events: also as text, as pages send them, and larger ones of one event."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Scope

from monitor.auth.call import Call
from monitor.auth.origins import Origins
from monitor.errors import TooLarge
from monitor.http.body import BodyReader
from monitor.shares import Share, Turns

_TEXT = "text/plain"
_LARGE = 3  # times `max_bytes`, the most that a body of one event may have
_MAX_LARGE = 2  # bodies of more than `max_bytes` in memory, of all callers
_MAX_DECODINGS = 2  # in threads at the same time: they share one lock of the interpreter
_MAX_WAITING = 64  # large bodies of one caller; a class's key may stand for many students
_HOLDER = "large body of"  # the key in the scope: its caller


class EventBodies(BodyReader):
    """Reads bodies of up to `max_bytes`, and up to three times that of one event.

    The larger ones don't count as `max_held`: few of them are in memory at the same time, and one
    of a caller. `origins` are those whose pages may post; text needs no preflight, so that it is
    checked here. `*` stands for all; `public_url` is the server's own address.
    """

    default_type = _TEXT  # pages may leave the type out, and need no preflight then either

    def __init__(
        self, max_bytes: int, max_held: int, origins: list[str], public_url: str = ""
    ) -> None:
        super().__init__(max_bytes, max_held)
        self.max_large_bytes = _LARGE * max_bytes
        self._origins = (
            None if "*" in origins else Origins(origins, loopback_only=False, public_url=public_url)
        )
        self.decodings = Turns(
            "large bodies to decode", at_once=_MAX_DECODINGS, each=_MAX_WAITING, each_at_once=1
        )
        self.large = Share(f"bodies of more than {max_bytes} bytes", each=1, total=_MAX_LARGE)

    @asynccontextmanager
    async def decoding(self, call: Call, size: int) -> AsyncIterator[None]:
        """Waits for the turn to decode a body of `size` bytes, which counts as held meanwhile.

        One that is larger than `max_bytes` counts by `large`. Raises OverLimit and Unavailable.
        """
        held = size if size <= self.max_bytes else 0
        with self.held.hold(call.payer, held, each=self._each(call)):
            async with self.decodings.turn(call.payer):
                yield

    def release(self, scope: Scope) -> None:
        """Makes room for other large bodies, once this call's is decoded, or was not read."""
        if _HOLDER in scope:
            self.large.give_back(scope.pop(_HOLDER))

    def _check_type(self, scope: Scope, sent: str, media_type: str) -> None:
        """Raises Unsupported, and Forbidden if text comes from a page of another origin."""
        if sent != _TEXT:
            super()._check_type(scope, sent, media_type)
        if self._origins:
            self._origins.check(scope)

    def _grow(self, scope: Scope, size: int) -> None:
        """Raises TooLarge, OverLimit or Unavailable if the caller or all have large ones."""
        if size > self.max_large_bytes:
            raise TooLarge(
                f"The body is larger than the limit, {self.max_bytes} bytes,"
                f" or {self.max_large_bytes} of one event"
            )
        if _HOLDER in scope:
            return
        payer = scope["call"].payer
        self.large.take(payer)
        scope[_HOLDER] = payer

    async def _inflated(self, scope: Scope, body: bytes) -> bytes:
        try:
            return await super()._inflated(scope, body)
        except TooLarge:
            self._grow(scope, self.max_bytes + 1)
        try:
            return await self._gunzip(scope, body, self.max_large_bytes)
        except TooLarge:
            self._grow(scope, self.max_large_bytes + 1)
            raise
