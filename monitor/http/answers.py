"""What operations answer, for OpenAPI: a type for each status and media type, and headers."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Union, get_args, get_origin

import msgspec
from starlette.responses import Response

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
from monitor.http.body import JSON, BrokenGzip
from monitor.http.responses import status_of

TOTAL = "X-Total-Count"
_RETRY_AFTER = {"Retry-After": "Seconds to wait"}
_HEADERS = {429: _RETRY_AFTER, 503: _RETRY_AFTER}
GUARDED = (Unauthenticated, Forbidden, OverLimit)


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


def errors(*kinds: type[MonitorError]) -> dict[int, Answer]:
    """The answers for these errors, described by their docstrings."""
    texts_by_status: dict[int, list[str]] = {}
    for kind in kinds:
        texts_by_status.setdefault(status_of(kind), []).append(
            (inspect.getdoc(kind) or "").split("\n")[0]
        )
    return {
        status: Answer(
            " ".join(texts),
            {JSON: InvalidRequest if status == 422 else Problem},
            _HEADERS.get(status, {}),
        )
        for status, texts in sorted(texts_by_status.items())
    }


def errors_of(
    raises: tuple[type[MonitorError], ...], *, parameters: bool, body: bool
) -> dict[int, Answer]:
    """The answers for these errors, and for those of every operation with such a request."""
    kinds = [*raises, *GUARDED, Unavailable]
    if parameters or body:
        kinds.append(InvalidBody)
    if body:
        kinds += [BrokenGzip, TooLarge, Unsupported]
    return errors(*kinds)


def answer(returned: Any, media: Mapping[str, Any]) -> Answer:
    """The answer of a handler that returns this type, and the types by media type beside JSON."""
    if Response in get_args(returned):
        returned = Union[tuple(kind for kind in get_args(returned) if kind is not Response)]  # noqa: UP007
    if get_origin(returned) is Listing:
        (item,) = get_args(returned)
        return Answer("Done", {JSON: list[item], **media}, {TOTAL: "Items in all"})  # type: ignore[valid-type]
    return Answer("Done", {JSON: returned, **media})
