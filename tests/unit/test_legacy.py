"""The dialect of /cell-monitor, before anything is stored."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from monitor.events.decoding import CELL_MONITOR, decode
from monitor.events.event import Event
from tests.support.wire import legacy_cell

NOW = datetime(2026, 7, 23, 3, 0, tzinfo=UTC)


def decoded(**fields: Any) -> Event:
    body = json.dumps([legacy_cell(**fields)]).encode()
    items = decode(body, NOW, 10, (CELL_MONITOR,))
    assert items.rejected == []
    (event,) = items.events
    return event


def test_a_cell_becomes_an_event() -> None:
    event = decoded()
    assert event.type == "cell_executed"
    assert event.time == datetime(2026, 7, 23, 1, 2, 3, 4000, UTC)
    assert (event.student, event.notebook, event.cell) == ("花子", "a/b.ipynb", "c")
    assert (event.cell_index, event.cell_type, event.code) == (2, "code", "1 + 1")
    assert (event.execution_count, event.duration_ms, event.failed) == (3, 250, False)
    assert json.loads(event.metadata) == {"room": 7}
    assert event.id == decoded().id
    assert event.id != decoded(cellContent="1 + 2").id


@pytest.mark.parametrize(
    ("outputs", "shown"),
    [
        (None, None),
        ([], ""),
        ("text", "text"),
        (["a", "b"], "ab"),
        ([{"output_type": "stream", "name": "stdout", "text": "a\n"}], "a\n"),
        ([{"output_type": "stream", "text": ["a\n", "b"]}], "a\nb"),
        ([{"output_type": "execute_result", "data": {"text/plain": ["2", "3"]}}], "23"),
        ([{"data": {"image/png": "iVBOR", "text/plain": "<Figure>"}}], "<Figure>"),
        ([{"data": {"text/plain": 5}}, {"unheard": "of"}], ""),
    ],
)
def test_outputs_become_the_text_that_the_student_saw(outputs: Any, shown: str | None) -> None:
    event = decoded(outputs=outputs)
    assert (event.output, event.failed) == (shown, False)


def test_an_error_is_one_by_its_status_or_its_output() -> None:
    error = {"output_type": "error", "ename": "NameError", "evalue": "x", "traceback": []}
    event = decoded(outputs=[{"text": "a"}, error])
    assert (event.failed, event.error, event.output) == (True, "NameError: x", "a")
    assert decoded(executionStatus="Error").failed
    assert decoded(executionStatus="running").type == "cell_execution_start"
    assert not decoded(executionStatus="never heard of").failed


def test_what_the_dialect_does_not_know_is_kept() -> None:
    event = decoded(kernel="python3", timestamp="yesterday")
    assert json.loads(event.metadata) == {
        "kernel": "python3", "eventTime": "yesterday", "room": 7
    }  # fmt: skip
    assert event.time == NOW
    id_ = "30029b44-d926-4d3a-903f-0991ec79f54a"
    assert str(decoded(eventId=id_).id) == id_


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"userId": None}, "userId"),
        ({"cellIndex": "two"}, "cellIndex"),
        ({"cellIndex": 2**31}, "cellIndex"),
        ({"notebookPath": "x" * 513}, "notebookPath"),
    ],
)
def test_a_field_of_the_wrong_type_rejects_the_cell(fields: dict[str, Any], path: str) -> None:
    body = json.dumps([legacy_cell(), legacy_cell(**fields)]).encode()
    items = decode(body, NOW, 10, (CELL_MONITOR,))
    assert len(items.events) == 1
    (rejected,) = items.rejected
    assert (rejected.index, rejected.path) == (1, path)
