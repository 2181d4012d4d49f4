"""Decodes a request's parameters and body strictly into the types that an operation declares."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from monitor.errors import Detail, InvalidBody
from monitor.events.escapes import repair
from monitor.http.body import JSON, LARGE_BODY, BodyReader
from monitor.http.invalid_bodies import detail, invalid_json, reading_body
from monitor.http.raw_fields import Found, find, find_in_worker, found
from monitor.workers.job import Job, TooCostly
from monitor.workers.pool import Workers

_NO_TIME = "In UTC a time must be in the years 1 to 9999"


class Arguments:
    """Decodes what a handler is called with: the path's parameters, `query` and `body`."""

    def __init__(
        self,
        parameters: Mapping[str, Any],
        *,
        query: type[msgspec.Struct] | None,
        body: Any,
        body_media: str,
        bodies: BodyReader,
        workers: Workers,
    ) -> None:
        self._parameters = parameters
        self._query = query
        self._query_times = _time_fields(query)
        self._body = JsonBody(body) if body and body_media == JSON else None
        self._body_times = _time_fields(body)
        self._has_body = body is not None
        self._body_media = body_media
        self._bodies = bodies
        self._workers = workers

    async def of(self, request: Request) -> tuple[dict[str, Any], int]:
        """The arguments by name, and the length of the body in bytes.

        Raises InvalidBody, and what `BodyReader.read` raises.
        """
        size = 0
        arguments = {
            name: _convert(_text(request.path_params[name]), kind, "path", name)
            for name, kind in self._parameters.items()
        }
        if self._query:
            parameters = {name: _text(value) for name, value in request.query_params.items()}
            arguments["query"] = _convert(parameters, self._query, "query")
            _check_times(arguments["query"], self._query_times, "query")
        if self._has_body:
            body = await self._bodies.read(request.scope, request.receive, self._body_media)
            size = len(body)
            arguments["body"] = await self._decoded(body, request.scope["call"].payer)
            _check_times(arguments["body"], self._body_times, "body")
        return arguments, size

    async def _decoded(self, body: bytes, payer: str) -> Any:
        if self._body is None:
            return body
        if len(body) > LARGE_BODY:
            return await self._body.decode_large(body, self._workers, payer)
        return self._body.decode(body)


class JsonBody:
    """Decodes a body. Fields of the type msgspec.Raw keep the bytes that were sent."""

    def __init__(self, kind: Any) -> None:
        self._decoder = msgspec.json.Decoder(kind)
        self._raw_fields = {
            field.encode_name: field.name
            for field in (msgspec.structs.fields(kind) if _is_struct(kind) else ())
            if _holds(field.type, msgspec.Raw)
        }
        self._job = Job(
            find_in_worker.__module__,
            find_in_worker.__name__,
            seconds=2.0,
            argument=" ".join(self._raw_fields),
        )

    def decode(self, body: bytes) -> Any:
        """Raises InvalidBody."""
        if self._raw_fields:
            return self._whole(*find(body, self._raw_fields))
        with reading_body():
            return self._decoder.decode(repair(body))

    async def decode_large(self, body: bytes, workers: Workers, payer: str) -> Any:
        """The same without holding up others. Raises InvalidBody, OverLimit and Unavailable."""
        if not self._raw_fields:
            return await run_in_threadpool(self.decode, body)
        try:
            answer = await workers.run(payer, self._job, body)
        except TooCostly as error:
            raise invalid_json(f"{error} to read") from None
        return self._whole(*found(answer, body))

    def _whole(self, found: Found, body: bytes) -> Any:
        """Raises InvalidBody."""
        with reading_body():
            value = self._decoder.decode(found.rest)
        for name, (start, end) in found.spans.items():
            setattr(value, self._raw_fields[name], msgspec.Raw(memoryview(body)[start:end]))
        return value


def _holds(kind: Any, wanted: type) -> bool:
    return kind is wanted or any(_holds(part, wanted) for part in get_args(kind))


def _time_fields(kind: Any) -> list[str]:
    """The fields of a struct that hold times."""
    fields = msgspec.structs.fields(kind) if _is_struct(kind) else ()
    return [field.name for field in fields if _holds(field.type, datetime)]


def _check_times(value: Any, fields: Sequence[str], where: str) -> None:
    """Raises InvalidBody for a time that its offset takes out of the calendar."""
    for name in fields:
        time = getattr(value, name)
        if isinstance(time, datetime) and time.tzinfo:
            try:
                time.astimezone(UTC)
            except OverflowError:
                raise InvalidBody(Detail((where, name), _NO_TIME, "value_error")) from None


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _convert(value: Any, kind: Any, *where: str) -> Any:
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidBody(detail(error, *where)) from None


def _text(value: str) -> str:
    """Replaces NUL, which PostgreSQL's text can't hold."""
    return value.replace("\0", "\ufffd")
