"""Payload as clients send them, and what the decoder makes of them."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from monitor.events.decoding import decode
from monitor.events.event import Event, Payload

NOW = datetime(2026, 7, 23, 3, 0, tzinfo=UTC)
TIME = "2026-07-23T01:02:03.004Z"
ID = "30029b44-d926-4d3a-903f-0991ec79f54a"
INVALID = {"eventType": 1}


def item(**fields: Any) -> dict[str, Any]:
    return {"eventId": ID, "eventType": "help", "eventTime": TIME, "userId": "花子"} | fields


def legacy_cell(**fields: Any) -> dict[str, Any]:
    """A cell as older clients post it to /cell-monitor."""
    return {
        "userId": "花子",
        "notebookPath": "a/b.ipynb",
        "cellId": "c",
        "cellIndex": 2,
        "cellType": "code",
        "cellContent": "1 + 1",
        "outputs": [],
        "executionCount": 3,
        "executionTime": 0.25,
        "executionStatus": "completed",
        "timestamp": TIME,
        "metadata": {"room": 7},
    } | fields


def decode_items(*items: Any, limit: int = 100) -> Payload:
    return decode(json.dumps(items).encode(), NOW, limit)


def decode_fields(**fields: Any) -> Event:
    return decode_one(json.dumps([item(**fields)]).encode())


def decode_one(body: bytes) -> Event:
    items = decode(body, NOW, 100)
    assert items.rejected == []
    (event,) = items.events
    return event


def item_without(name: str, **fields: Any) -> dict[str, Any]:
    return {key: value for key, value in item(**fields).items() if key != name}


def fields_of(event: Event) -> dict[str, Any]:
    return msgspec.structs.asdict(event)
