"""Counts requests and measures how long they take; labels are bounded, whatever is asked for."""

from collections import Counter, defaultdict
from time import perf_counter
from typing import Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.auth.permissions import ROUTES
from monitor.durations import Durations
from monitor.errors import (
    Forbidden,
    InvalidBody,
    OverLimit,
    QueueFull,
    SpoolFull,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

Kind = Literal["read", "change"]

_GROUPS = frozenset(call.split(" ")[1].split("/")[1] for call in ROUTES) - {""}
_OTHER = "other"
# Counted from 0 on: a rate needs a number before the first one.
_REFUSALS = (
    Exception,  # answered by 500
    Forbidden,
    InvalidBody,
    OverLimit,
    QueueFull,
    SpoolFull,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
_READS = ("GET", "HEAD", "OPTIONS")


class RequestCounts:
    """The requests of one process.

    `posts` are the durations of ingest, from a complete body to its answer. `refused` counts
    requests of ingest by the error that answered them. `durations` and `answers` are of all other
    requests, by group: the first part of a path below the API's `prefix`, such as `classes`.
    `answers` also has the status.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.posts = Durations()
        self.refused: Counter[type[Exception]] = Counter(dict.fromkeys(_REFUSALS, 0))
        self.durations: defaultdict[tuple[str, Kind], Durations] = defaultdict(Durations)
        self.answers: Counter[tuple[str, Kind, int]] = Counter()

    def add(self, method: str, path: str, status: int, seconds: float) -> None:
        """Counts a request that was answered."""
        group, kind = self._group(path), _kind(method)
        self.durations[group, kind].observe(seconds)
        self.answers[group, kind, status] += 1

    def _group(self, path: str) -> str:
        group = path.removeprefix(self._prefix).removeprefix("/").partition("/")[0]
        return group if group in _GROUPS else _OTHER


class Counted:
    """Middleware that adds each request to the counts once it has been answered."""

    def __init__(self, app: ASGIApp, counts: RequestCounts) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # what an error is answered with that nothing below this handles
        began = perf_counter()

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            seconds = perf_counter() - began
            self._counts.add(scope["method"], scope["path"], status, seconds)


def _kind(method: str) -> Kind:
    return "read" if method in _READS else "change"
