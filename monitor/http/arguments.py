"""Decodes a request's parameters and body strictly into the types that an operation declares."""

import codecs
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from monitor.errors import Detail, InvalidBody
from monitor.events.escapes import repair
from monitor.events.json_text import in_utf8, with_quoted_nan
from monitor.http.body import JSON, THREAD_THRESHOLD_BYTES, BodyReader

_MISSING = re.compile("Object missing required field `(.*)`")
_NO_TIME = "In UTC a time must be in the years 1 to 9999"
_STEP = re.compile(r"\.([^.\[`]+)|\[(\d+|\.\.\.)\]")


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
    ) -> None:
        self._parameters = parameters
        self._query = query
        self._query_times = _time_fields(query)
        self._body = JsonBody(body) if body and body_media == JSON else None
        self._body_times = _time_fields(body)
        self._has_body = body is not None
        self._body_media = body_media
        self._bodies = bodies

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
            arguments["body"] = await self._decoded(body)
            _check_times(arguments["body"], self._body_times, "body")
        return arguments, size

    async def _decoded(self, body: bytes) -> Any:
        if self._body is None:
            return body
        if len(body) > THREAD_THRESHOLD_BYTES:
            return await run_in_threadpool(self._body.decode, body)
        return self._body.decode(body)


class JsonBody:
    """Decodes a body. Fields of the type msgspec.Raw keep the bytes that were sent.

    Where there are such fields, they may have NaN and Infinity, and a byte order mark before.
    """

    def __init__(self, kind: Any) -> None:
        self._decoder = msgspec.json.Decoder(kind)
        self._raw_fields = {
            field.name: field.encode_name
            for field in (msgspec.structs.fields(kind) if _is_struct(kind) else ())
            if _holds(field.type, msgspec.Raw)
        }
        keys = "|".join(map(re.escape, self._raw_fields.values()))
        # A key's last quote is not escaped: this is never within a string.
        self._marks = re.compile(rb'("(?:%s)"\s*:\s*)\xef\xbb\xbf' % keys.encode())

    def decode(self, body: bytes) -> Any:
        """Raises InvalidBody."""
        try:
            return self._decode(body)
        except msgspec.ValidationError as error:
            raise InvalidBody(_detail(error, "body")) from None
        except msgspec.DecodeError as error:
            raise _invalid_json(str(error)) from None
        except UnicodeDecodeError as error:
            raise _invalid_json(f"The body is not UTF-8: {error.reason}") from None
        except RecursionError:
            raise _invalid_json("The body is nested too deeply") from None

    def _decode(self, body: bytes) -> Any:
        if not self._raw_fields:
            return self._decoder.decode(repair(body))
        body = self._without_marks(in_utf8(body))
        body.decode()  # raises UnicodeDecodeError: msgspec does not check raw fields
        decodable = with_quoted_nan(repair(body))  # as long as the body
        value = self._decoder.decode(decodable)
        if decodable is not body and decodable != body:
            self._restore(value, decodable, body)
        return value

    def _without_marks(self, body: bytes) -> bytes:
        """The body without byte order marks before the fields that are files in clients."""
        if codecs.BOM_UTF8 not in body:
            return body
        return self._marks.sub(rb"\1", body)

    def _restore(self, value: Any, decodable: bytes, body: bytes) -> None:
        for name in self._raw_fields:
            field = getattr(value, name)
            if isinstance(field, msgspec.Raw):
                start = decodable.find(field)  # linear: the field is most of a large body
                end = start + len(memoryview(field))
                setattr(value, name, msgspec.Raw(body[start:end]))


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
        raise InvalidBody(_detail(error, *where)) from None


def _detail(error: msgspec.ValidationError, *where: str) -> Detail:
    reason, _, path = str(error).partition(" - at `$")
    steps = [
        int(index) if index.isdigit() else name or index for name, index in _STEP.findall(path)
    ]
    if missing := _MISSING.match(reason):
        return Detail((*where, *steps, missing[1]), "Field required", "missing")
    kind = "type_error" if reason.startswith("Expected") else "value_error"
    return Detail((*where, *steps), reason, kind)


def _invalid_json(reason: str) -> InvalidBody:
    return InvalidBody(Detail(("body",), reason, "json_invalid"))


def _text(value: str) -> str:
    """Replaces NUL, which PostgreSQL's text can't hold."""
    return value.replace("\0", "\ufffd")
