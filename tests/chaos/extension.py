"""Clients that behave like the JupyterLab extension, and the journal of their answers."""

import asyncio
import io
import json
import random
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import aiohttp

TIMEOUT = 8.0  # seconds
PAUSES = (0.0, 0.5, 1.0, 2.0)  # seconds before a try

EventFields = dict[str, Any]

TYPES = [*["cell_executed"] * 3, "cell_error", "cell_execution_start", "notebook_save"]
TYPES += ["help", "session_start", "quiz_answered"]

# Texts, numbers and dates that databases can't take; some of it is stored, some is rejected.
POISON: tuple[EventFields, ...] = (
    {"code": "a\u0000b", "userName": "\u0000"},
    {"result": "half a pair: \ud800", "errorMessage": "\udc00"},
    {"executionCount": 2**64},
    {"cellIndex": -(2**63)},
    {"eventTime": "10000-01-01T00:00:00Z"},
    {"eventTime": "0001-01-01T00:00:00+14:00"},
    {"result": "x" * 5_000_000},
    {"metadata": {"n": "@1e-20000@"}},
    {"metadata": {"n": f"@{'9' * 140_000}@"}},
    {"metadata": {"n": "@1e400@", "\u0000": "\ud83d"}},
    {"eventType": None},
)


class Place(NamedTuple):
    """Where an event belongs; class "" is none."""

    student: str
    class_code: str
    session: str
    notebook: str
    cell: str


class Journal:
    """The places of the valid events posted, which were acknowledged, and which were refused."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.places: dict[uuid.UUID, Place] = {}
        self.acknowledged: set[uuid.UUID] = set()
        self.refused: list[str] = []
        self.gave_up = 0
        self.sent = 0

    def note(self, events: Sequence[EventFields], bad: set[int], status: int, answer: Any) -> None:
        rejected = {item["index"] for item in answer.get("rejected", [])}
        if status != 202 and not rejected:
            rejected = set(range(len(events)))
        for index, event in enumerate(events):
            if index not in rejected:
                self.acknowledged.add(uuid.UUID(event["eventId"]))
            elif index not in bad:
                self.refused.append(f"{status} {answer}"[:500])


class Extension:
    """A student's notebook: sends, tries again on 5xx and network errors, forgets below 500."""

    def __init__(self, http: aiohttp.ClientSession, urls: list[str], journal: Journal) -> None:
        self._http = http
        self._urls = urls
        self._journal = journal

    async def send(self, *events: EventFields, bad: set[int] | None = None) -> None:
        body = encoded(events)
        self._journal.sent += len(events)
        for pause in PAUSES:
            await asyncio.sleep(pause)
            try:
                status, answer = await self._post(random.choice(self._urls), body)
            except (aiohttp.ClientError, TimeoutError, OSError):
                continue
            if status < 500:
                self._journal.note(events, bad or set(), status, answer)
                return
        self._journal.gave_up += len(events)

    async def _post(self, url: str, events: bytes) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"}
        async with self._http.post(url, data=io.BytesIO(events), headers=headers) as answer:
            body = await answer.read()
            return answer.status, json.loads(body) if answer.status < 500 else None


def encoded(events: Sequence[EventFields]) -> bytes:
    """A request's body; texts between two `@` are numbers that Python can't write."""
    return json.dumps(events).replace('"@', "").replace('@"', "").encode()


def event(student: str) -> EventFields:
    """An event as the extension sends it; one in ten without a time of its own."""
    fields = {
        "eventId": str(uuid.uuid4()),
        "eventType": random.choice(TYPES),
        "userId": student,
        "sessionId": f"session of {student}",
        "notebookPath": f"units/レッスン {random.randint(1, 3)}.ipynb",
        "cellId": f"cell-{random.randint(1, 9)}",
        "cellIndex": random.randint(0, 9),
        "cellType": "code",
        "code": "print('花')",
        "result": "花\n" * random.randint(0, 50),
    }
    if random.random() < 0.9:
        fields["eventTime"] = datetime.now(UTC).isoformat(timespec="milliseconds")
    return fields
