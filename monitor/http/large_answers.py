"""Sends large answers in pieces, as fast as they are read, and bounds what waits for one caller."""

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.auth.call import Call
from monitor.errors import MonitorError
from monitor.http.responses import on_monitor_error
from monitor.shares import Share

_PIECE = 64 * 1024  # bytes
_MAX_OF_CALLER = 40 * 1024 * 1024  # bytes: two or three hand-ins of the largest size
_MAX = 160 * 1024 * 1024  # bytes of all callers


class LargeAnswers:
    """Middleware: an answer of more than a piece is a share of its caller until it is read.

    At the bound the caller gets 429, and 503 where the answers of all take too much memory. A
    stream is sent in pieces as well, but is nobody's share: it waits until it is read.
    """

    def __init__(self, app: ASGIApp, unread: Share) -> None:
        self._app = app
        self._unread = unread

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def send_pieces(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message  # with the body it may turn out that there is no room for it
                return
            body, amount = message.get("body", b""), 0
            if start:
                first, start = start, None
                try:
                    if not message.get("more_body"):
                        amount = self._take(scope, len(body))
                except MonitorError as error:
                    await (await on_monitor_error(Request(scope), error))(scope, receive, send)
                    return
                await send(first)
            try:
                await _send(message, body, send)
            finally:
                if amount:
                    self._unread.give_back(scope["call"].payer, amount)

        await self._app(scope, receive, send_pieces)

    def _take(self, scope: Scope, size: int) -> int:
        """How many bytes the caller holds for a body. Raises OverLimit and Unavailable."""
        call: Call | None = scope.get("call")
        if call is None or size <= _PIECE:
            return 0
        amount = min(size, _MAX_OF_CALLER)  # who has nothing else unread may have any
        self._unread.take(call.payer, amount)
        return amount


def unread_answers() -> Share:
    """The share of each caller. A refusal isn't delayed: it would keep its answer in memory."""
    return Share(
        "bytes of answers that are not read yet", each=_MAX_OF_CALLER, total=_MAX, delay=0.0
    )


async def _send(message: Message, body: bytes, send: Send) -> None:
    if len(body) <= _PIECE:
        await send(message)
        return
    view = memoryview(body)
    for first in range(0, len(body), _PIECE):
        is_last = first + _PIECE >= len(body)
        piece = bytes(view[first : first + _PIECE])
        more = not is_last or message.get("more_body", False)
        await send({"type": "http.response.body", "body": piece, "more_body": more})
