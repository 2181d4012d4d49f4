"""Decodes a request's parameters and body strictly into the types that an operation declares."""

import re
import secrets
from collections.abc import Mapping
from typing import Any, get_args

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from monitor.errors import Detail, InvalidBody
from monitor.events.escapes import marked, repair
from monitor.http.body import JSON, THREAD_THRESHOLD_BYTES, BodyReader

_MISSING = re.compile("Object missing required field `(.*)`")
_STEP = re.compile(r"\.([^.\[`]+)|\[(\d+|\.\.\.)\]")
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


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
        self._body = JsonBody(body) if body and body_media == JSON else None
        self._has_body = body is not None
        self._body_media = body_media
        self._bodies = bodies

    async def of(self, request: Request) -> dict[str, Any]:
        """The arguments by name. Raises InvalidBody, and what `BodyReader.read` raises."""
        arguments = {
            name: _convert(_text(request.path_params[name]), kind, "path", name)
            for name, kind in self._parameters.items()
        }
        if self._query:
            parameters = {name: _text(value) for name, value in request.query_params.items()}
            arguments["query"] = _convert(parameters, self._query, "query")
        if self._has_body:
            arguments["body"] = await self._read(request)
        return arguments

    async def _read(self, request: Request) -> Any:
        body = await self._bodies.read(request.scope, request.receive, self._body_media)
        if self._body is None:
            return body
        if len(body) > THREAD_THRESHOLD_BYTES:
            return await run_in_threadpool(self._body.decode, body)
        return self._body.decode(body)


class JsonBody:
    """Decodes a body. Fields of the type msgspec.Raw keep the bytes that were sent."""

    def __init__(self, kind: Any) -> None:
        self._decoder = msgspec.json.Decoder(kind)
        self._raw_fields = {
            field.name: field.encode_name
            for field in (msgspec.structs.fields(kind) if _is_struct(kind) else ())
            if _holds_raw(field.type)
        }

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
        repaired = repair(body)
        value = self._decoder.decode(repaired)
        if self._raw_fields:
            body.decode()  # raises UnicodeDecodeError: msgspec does not check raw fields
            if repaired != body:
                self._restore(value, body)
        return value

    def _restore(self, value: Any, body: bytes) -> None:
        mark = secrets.token_hex(8).encode()
        sent = _FIELDS.decode(marked(body, mark))
        for name, key in self._raw_fields.items():
            if isinstance(getattr(value, name), msgspec.Raw):
                setattr(value, name, msgspec.Raw(bytes(sent[key]).replace(mark, rb"\u")))


def _holds_raw(kind: Any) -> bool:
    return kind is msgspec.Raw or any(map(_holds_raw, get_args(kind)))


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
