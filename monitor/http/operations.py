"""An operation is declared once: Starlette's route and its description in OpenAPI come from it."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from monitor.database.paging import Listing
from monitor.errors import (
    Detail,
    Forbidden,
    InvalidBody,
    MonitorError,
    OverLimit,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from monitor.http.arguments import Arguments
from monitor.http.body import JSON, BodyReader, BrokenGzip
from monitor.http.responses import json_response, status_of

TOTAL = "X-Total-Count"
_RETRY_AFTER = {"Retry-After": "Seconds to wait"}
_HEADERS = {429: _RETRY_AFTER, 503: _RETRY_AFTER}
GUARDED = (Unauthenticated, Forbidden, OverLimit)

Endpoint = Callable[[Request], Awaitable[Response]]
Permit = Callable[[Scope, Mapping[str, Any]], Awaitable[None]]
Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])


class Problem(msgspec.Struct):
    """An error in words."""

    detail: str


class InvalidRequest(msgspec.Struct):
    """What is wrong with the request, and where."""

    detail: list[Detail]


@dataclass(frozen=True)
class Answer:
    """What an operation answers with a status: a type by media type, and headers."""

    description: str
    content: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """A route, and the types of what it takes and gives."""

    method: str
    path: str
    name: str
    summary: str
    tag: str
    endpoint: Endpoint | ASGIApp  # the latter only where the path has no other method
    answers: Mapping[int, Answer]
    parameters: Mapping[str, Any] = field(default_factory=dict)  # in the path
    query: type[msgspec.Struct] | None = None
    body: Any = None
    body_media: str = JSON


class Api:
    """Collects the operations below a prefix, whose bodies `bodies` reads.

    `permit` raises Forbidden when a call with these arguments is not for its caller.
    """

    def __init__(self, prefix: str, bodies: BodyReader, permit: Permit) -> None:
        self.prefix = prefix
        self.operations: list[Operation] = []
        self._bodies = bodies
        self._permit = permit

    def operation(
        self,
        method: str,
        path: str,
        *,
        status: int = 200,
        raises: tuple[type[MonitorError], ...] = (),
        body_media: str = JSON,
        media: Mapping[str, Any] | None = None,
    ) -> Callable[[Handler], Handler]:
        """Declares the decorated function as an operation; its docstring is the description.

        Its arguments are the path's parameters by their names, `query` (a struct whose fields are
        the query's parameters), `body`, and `caller`, the Principal. What it returns is the
        answer; a Listing is answered as an array, with the total in a header. `raises` are its
        errors beside those that every operation has. `media` are types of answers beside JSON, by
        media type, which it returns as a Response.
        """

        def declare(handler: Handler) -> Handler:
            signature = inspect.signature(handler)
            types = {name: given.annotation for name, given in signature.parameters.items()}
            query, body = types.pop("query", None), types.pop("body", None)
            wants_caller = types.pop("caller", None) is not None
            arguments = Arguments(types, query, body, body_media, self._bodies)

            async def endpoint(request: Request) -> Response:
                found = await arguments.of(request)
                await self._permit(request.scope, found)
                if wants_caller:
                    found["caller"] = request.scope["principal"]
                return _respond(await handler(**found), status)

            answers = {status: _answer(signature.return_annotation, media or {})}
            answers |= _errors(raises, bool(types or query), body is not None)
            self.operations.append(
                Operation(
                    method,
                    self.prefix + path,
                    handler.__name__,
                    inspect.getdoc(handler) or "",
                    path.split("/")[1],
                    endpoint,
                    answers,
                    types,
                    query,
                    body,
                    body_media,
                )
            )
            return handler

        return declare

    def routes(self) -> list[Route]:
        """One route a path, so that a method it doesn't have is answered with those it has."""
        paths: dict[str, dict[str, Any]] = {}
        for each in self.operations:
            paths.setdefault(each.path, {})[each.method] = each.endpoint
        return [_route(path, endpoints) for path, endpoints in paths.items()]


def errors(*kinds: type[MonitorError]) -> dict[int, Answer]:
    """The answers for these errors, described by their docstrings."""
    found: dict[int, list[str]] = {}
    for kind in kinds:
        found.setdefault(status_of(kind), []).append((inspect.getdoc(kind) or "").split("\n")[0])
    return {
        status: Answer(
            " ".join(texts),
            {JSON: InvalidRequest if status == 422 else Problem},
            _HEADERS.get(status, {}),
        )
        for status, texts in sorted(found.items())
    }


def _errors(
    raises: tuple[type[MonitorError], ...], parameters: bool, body: bool
) -> dict[int, Answer]:
    kinds = [*raises, *GUARDED, Unavailable]
    if parameters or body:
        kinds.append(InvalidBody)
    if body:
        kinds += [BrokenGzip, TooLarge, Unsupported]
    return errors(*kinds)


def _answer(returned: Any, media: Mapping[str, Any]) -> Answer:
    if get_origin(returned) is Listing:
        (item,) = get_args(returned)
        return Answer("Done", {JSON: list[item], **media}, {TOTAL: "Payload in all"})  # type: ignore[valid-type]
    if Response in get_args(returned):
        returned = Union[tuple(kind for kind in get_args(returned) if kind is not Response)]  # noqa: UP007
    return Answer("Done", {JSON: returned, **media})


def _respond(result: Any, status: int) -> Response:
    if isinstance(result, Response):
        return result
    if isinstance(result, Listing):
        return json_response(result.items, status, {TOTAL: str(result.total)})
    return json_response(result, status)


def _route(path: str, endpoints: Mapping[str, Any]) -> Route:
    async def dispatch(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        response: Response = await endpoints[method](request)
        return response

    endpoint = dispatch if len(endpoints) > 1 else next(iter(endpoints.values()))
    return Route(path, endpoint, methods=list(endpoints))
