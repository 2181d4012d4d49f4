"""Generates the OpenAPI 3.1 document from the operations and their types."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from monitor.auth.permissions import ROUTES
from monitor.http.answers import Answer
from monitor.http.body import JSON
from monitor.http.declarations import Operation
from monitor.http.operations import Api

_REFERENCE = "#/components/schemas/{name}"

_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "query", "name": "key", "description": "To post events only"},
}


def declare(api: Api, title: str, version: str, is_open: bool) -> None:
    """Adds the operation that answers with the document; it describes those declared before it."""

    described: dict[str, Any] = {}

    @api.operation("GET", "/openapi.json")
    async def get_openapi() -> dict[str, Any]:
        """This document."""
        return described

    described.update(document(title, version, api, is_open))


def document(title: str, version: str, api: Api, is_open: bool) -> dict[str, Any]:
    """The document, in JSON's types. If the server `is_open` no operation needs a credential."""
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for each in api.operations:
        described = _operation(each, schemas)
        if not is_open:
            described["security"] = _security(each, api.prefix)
        paths.setdefault(each.path, {})[each.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        # Relative to the document's own address: a proxy may serve all below a path.
        "servers": [{"url": "/".join([".."] * api.prefix.count("/")) or "."}],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": _SCHEMES},
    }


class Schemas:
    """JSON Schemas of types, or of tuples of them; named types are collected in `components`."""

    def __init__(self) -> None:
        self.components: dict[str, Any] = {}

    def of(self, kind: Any, media: str = JSON) -> dict[str, Any]:
        """The schema of a type; anything but JSON is a string.

        Raises ValueError if a type of the same name, but of another schema, was described before.
        """
        if media != JSON:
            return {"type": "string"}
        if isinstance(kind, tuple):  # of structs, which msgspec couldn't tell apart
            return {"anyOf": [self.of(each) for each in kind]}
        (schema,), components = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
        for name, component in components.items():
            # The fast decoder of events forbids unknown fields, the fallback takes them.
            component.pop("additionalProperties", None)
            if self.components.setdefault(name, component) != component:
                raise ValueError(f"Two types of the API are called {name}")
        return schema


def _operation(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    summary, _, description = operation.summary.partition("\n")
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": summary,
        "description": inspect.cleandoc(description),
        "tags": [operation.tag],
        "parameters": list(_parameters(operation, schemas)),
        "responses": {
            str(status): _answer(answer, schemas) for status, answer in operation.answers.items()
        },
    }
    if operation.body is not None:
        content = _content({operation.body_media: operation.body}, schemas)
        described["requestBody"] = {"required": True, "content": content}
    return described


def _security(operation: Operation, prefix: str) -> list[dict[str, list[str]]]:
    """Any of these credentials is needed."""
    row = ROUTES[f"{operation.method} {operation.path.removeprefix(prefix)}"]
    key = [{"key": list[str]()}] if row.key else []
    return [{"token": []}, *key, *([{}] if row.anyone else [])]


def _parameters(operation: Operation, schemas: Schemas) -> Iterator[dict[str, Any]]:
    for name, kind in operation.parameters.items():
        yield {"name": name, "in": "path", "required": True, "schema": schemas.of(kind)}
    for field in msgspec.structs.fields(operation.query) if operation.query else ():
        schema = schemas.of(field.type)
        if not field.required and field.default is not msgspec.UNSET:
            schema = {**schema, "default": field.default}
        yield {
            "name": field.encode_name,
            "in": "query",
            "required": field.required,
            "schema": schema,
        }


def _answer(answer: Answer, schemas: Schemas) -> dict[str, Any]:
    headers = {
        name: {"schema": {"type": "integer"}, "description": text}
        for name, text in answer.headers.items()
    }
    return {
        "description": answer.description,
        "headers": headers,
        "content": _content(answer.content, schemas),
    }


def _content(types: Mapping[str, Any], schemas: Schemas) -> dict[str, Any]:
    return {media: {"schema": schemas.of(kind, media)} for media, kind in types.items()}
