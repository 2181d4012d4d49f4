"""What an operation is: as it is declared, and as it is served and documented."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from monitor.errors import MonitorError
from monitor.http.answers import Answer
from monitor.http.body import JSON
from monitor.http.ingest import Take

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A route, and the types of what it takes and gives. `path` includes the prefix.

    It has an `endpoint` or, if it takes events, `take`.
    """

    method: str
    path: str
    name: str
    summary: str
    tag: str
    answers: Mapping[int, Answer]
    parameters: Mapping[str, Any] = field(default_factory=dict)  # in the path
    query: type[msgspec.Struct] | None = None
    body: Any = None
    body_media: str = JSON
    endpoint: Endpoint | None = None
    take: Take | None = None


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """An operation as `Api.declare` takes it. `path` has no prefix; `handler` returns `returns`.

    `context` are the handler's parameters that don't come from the request, by name: Connection,
    Transactions, Snapshots, AfterCommit, Call, Principal or PublicUrl. `raises` are its errors
    beside those that every operation has. `media` are types of answers beside JSON, by media type,
    and `also` those with another status, by status; the handler returns both as a Response.
    An operation that waits for others, such as a worker, is not `in_turns`.
    """

    method: str
    path: str
    name: str
    summary: str
    handler: Callable[..., Awaitable[Any]]
    returns: Any
    parameters: Mapping[str, Any] = field(default_factory=dict)
    query: type[msgspec.Struct] | None = None
    body: Any = None
    context: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    raises: tuple[type[MonitorError], ...] = ()
    body_media: str = JSON
    media: Mapping[str, Any] = field(default_factory=dict)
    also: Mapping[int, Any] = field(default_factory=dict)
    in_turns: bool = True
