"""Lines of a log as Elastic Common Schema (ECS) defines their fields."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

VERSION = "8.0.0"  # of ECS, by which these are
# The fields that the server may write, each with its type in ECS. An `[]` after it is an array.
FIELDS = {
    "@timestamp": "date",
    "ecs.version": "keyword",
    "error.message": "match_only_text",
    "error.stack_trace": "wildcard",
    "error.type": "keyword",
    "event.category": "keyword[]",
    "event.duration": "long",
    "event.kind": "keyword",
    "event.outcome": "keyword",
    "event.type": "keyword[]",
    "http.request.id": "keyword",
    "http.request.method": "keyword",
    "http.response.status_code": "long",
    "http.version": "keyword",
    "log.level": "keyword",
    "log.logger": "keyword",
    "message": "match_only_text",
    "service.name": "keyword",
    "service.node.name": "keyword",
    "service.version": "keyword",
    "span.id": "keyword",
    "trace.id": "keyword",
    "url.path": "wildcard",
    "user.roles": "keyword[]",
}
# Where ECS lists the values that there are: of these the ones that requests have.
ALLOWED = {
    "event.category": {"web"},
    "event.kind": {"event"},
    "event.outcome": {"success", "failure", "unknown"},
    "event.type": {"access", "denied"},
}
REQUIRED = ("@timestamp", "ecs.version", "log.level", "message", "service.node.name")


def lines_of(output: str) -> list[dict[str, Any]]:
    """The lines of the log in what a server wrote, each a flat dictionary; checks all of them."""
    found = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    flat = [dict(_flatten(line)) for line in found]
    for line in flat:
        check(line)
    return flat


def requests_of(output: str) -> list[dict[str, Any]]:
    """The lines about requests."""
    return [line for line in lines_of(output) if line["log.logger"] == "monitor.requests"]


def check(line: Mapping[str, Any]) -> None:
    """Raises AssertionError if a flat line is not as ECS wants it."""
    for name in REQUIRED:
        assert name in line, f"{name} is missing in {line}"
    assert line["ecs.version"] == VERSION
    for name, value in line.items():
        assert name in FIELDS, f"{name} is no field of ECS that docs/logs.md lists"
        kind = FIELDS[name]
        values = value if kind.endswith("[]") else [value]
        assert isinstance(values, list), name
        for each in values:
            assert _is_of(kind.removesuffix("[]"), each), (name, each)
            assert each in ALLOWED.get(name, {each}), (name, each)


def _is_of(kind: str, value: Any) -> bool:
    if kind == "date":
        return value.endswith("Z") and datetime.fromisoformat(value) is not None
    if kind == "long":
        return type(value) is int and value >= 0
    return isinstance(value, str) and value != ""


def _flatten(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
