"""Large answers in pieces, and what a caller may leave unread."""

from typing import Any

from starlette.types import Message, Receive, Scope, Send

from monitor.auth.call import Call
from monitor.auth.permissions import Permission
from monitor.http.large_answers import LargeAnswers
from monitor.shares import Share

SIZE = 200_000  # bytes


async def answered(*bodies: bytes, each: int) -> tuple[int, bytes, list[int]]:
    """Status, body and the sizes of its pieces, for a caller who may leave `each` bytes unread."""
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number, body in enumerate(bodies, 1):
            more = number < len(bodies)
            await send({"type": "http.response.body", "body": body, "more_body": more})

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    async def send(message: Message) -> None:
        sent.append(message)

    share = Share("bytes", each=each, total=10 * SIZE)
    scope: dict[str, Any] = {"type": "http", "call": Call(Permission(), host="127.0.0.1")}
    await LargeAnswers(app, share)(scope, receive, send)
    start, *pieces = sent
    assert [each.get("more_body", False) for each in pieces] == [True] * (len(pieces) - 1) + [False]
    assert share.held == 0
    body = b"".join(each["body"] for each in pieces)
    return start["status"], body, [len(each["body"]) for each in pieces]


async def test_a_large_answer_goes_in_pieces() -> None:
    status, body, sizes = await answered(b"x" * SIZE, each=SIZE)
    assert (status, body) == (200, b"x" * SIZE)
    assert max(sizes) == 64 * 1024


async def test_who_may_leave_no_more_unread_gets_429() -> None:
    status, body, _ = await answered(b"x" * SIZE, each=SIZE - 1)
    assert status == 429
    assert b"At most" in body


async def test_a_stream_that_has_begun_goes_on() -> None:
    pages = [b"x" * SIZE, b"", b"y" * SIZE, b"z" * 10]
    status, body, sizes = await answered(*pages, each=1)
    assert (status, body) == (200, b"".join(pages))
    assert max(sizes) == 64 * 1024
