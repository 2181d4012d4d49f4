"""Large bodies are decoded in steps: to the same events, and without holding the interpreter."""

import json
import sys
import threading
import time
from typing import Any

import pytest
from msgspec.structs import astuple

from monitor.events import decoding
from monitor.events.decoding import LARGE_BODY, decode
from monitor.events.event import Payload
from tests.support.wire import NOW, item

ITEMS: list[Any] = [
    item(userId="plain"),
    item(userId="odd", executionCount="3", unknown=[1, 2]),
    {"event_type": "cell_executed", "user_id": "snake", "timestamp": "2026-01-01T00:00:00Z"},
    {"eventType": "cell_executed"},
    7,
    item(userId="last", metadata={"a": None}),
]
MOST_HELD = 0.5  # of the time for which decoding all at once holds the interpreter


def content(payload: Payload) -> list[tuple[Any, ...]]:
    return [astuple(each) for each in (*payload.events, *payload.rejected)]


@pytest.mark.parametrize("items", [ITEMS, ITEMS[:1], ITEMS[2:3], []])
@pytest.mark.parametrize("end", [b"]", b",NaN]"])
def test_the_events_are_the_same_as_of_a_small_body(items: list[Any], end: bytes) -> None:
    body = json.dumps([*items, 0]).encode().removesuffix(b"]") + end
    small, large = decode(body, NOW, 10), decode(body + b" " * LARGE_BODY, NOW, 10)
    assert content(small) == content(large)


def held_while_decoding(body: bytes) -> float:
    """The longest time (s) for which another thread could not work."""
    gaps = [0.0]
    over = threading.Event()

    def tick() -> None:
        while not over.is_set():
            began = time.perf_counter()
            time.sleep(0.001)
            gaps.append(time.perf_counter() - began)

    ticking = threading.Thread(target=tick)
    ticking.start()
    try:
        assert len(decode(body, NOW, 1_000)) == 1_000
    finally:
        over.set()
        ticking.join()
    return max(gaps)


def test_other_threads_work_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = {f"k{number}": number for number in range(900)}
    body = json.dumps([item(metadata=metadata)] * 1_000).encode()
    in_steps = min(held_while_decoding(body) for _ in range(3))
    monkeypatch.setattr(decoding, "LARGE_BODY", sys.maxsize)
    at_once = min(held_while_decoding(body) for _ in range(3))
    assert in_steps < MOST_HELD * at_once
