"""What older clients post goes the same way as all events."""

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from monitor.events.decoding import CELL_MONITOR, decode
from monitor.events.event import Event
from tests.support.lms import unique
from tests.support.postgres import Address, fetch, row_counts
from tests.support.replicas import Replica

NOW = datetime(2026, 7, 23, 3, 0, tzinfo=UTC)
TIME = "2026-07-23T01:02:03.004Z"


def cell(**fields: Any) -> dict[str, Any]:
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


def decoded(**fields: Any) -> Event:
    body = json.dumps([cell(**fields)]).encode()
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
    given = "30029b44-d926-4d3a-903f-0991ec79f54a"
    assert str(decoded(eventId=given).id) == given


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"userId": None}, "userId"),
        ({"cellIndex": "2"}, "cellIndex"),
        ({"cellIndex": 2**31}, "cellIndex"),
        ({"outputs": 5}, "outputs"),
        ({"executionTime": "fast"}, "executionTime"),
        ({"notebookPath": "x" * 513}, "notebookPath"),
    ],
)
def test_a_field_of_the_wrong_type_rejects_the_cell(fields: dict[str, Any], path: str) -> None:
    body = json.dumps([cell(), cell(**fields)]).encode()
    items = decode(body, NOW, 10, (CELL_MONITOR,))
    assert len(items.events) == 1
    (rejected,) = items.rejected
    assert (rejected.index, rejected.path) == (1, path)


async def test_cells_are_stored_once_whether_alone_or_in_an_array(
    replica: Replica, postgres: Address
) -> None:
    one, other = cell(), cell(cellId="d", executionStatus="error")
    async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1") as client:
        alone = await client.post("/cell-monitor", json=one)
        assert (alone.status_code, alone.json()) == (
            202,
            {
                "message": "1 events received and queued for processing.",
                "received": 1,
                "stored": 1,
                "duplicates": 0,
                "rejected": [],
            },
        )
        body = gzip.compress(json.dumps([one, other, {"cellId": 5}]).encode())
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        both = (await client.post("/cell-monitor", content=body, headers=headers)).json()
        assert (both["received"], both["stored"], both["duplicates"]) == (3, 1, 1)
        assert [item["index"] for item in both["rejected"]] == [2]
        assert (await client.post("/cell-monitor", json=[])).json()["received"] == 0
    found = await row_counts(postgres)
    assert (found["executions"], found["errors"], found["rejected"]) == (2, 1, 1)
    rows = await fetch(postgres, "SELECT code, duration_ms FROM cell_executions")
    assert {(row["code"], row["duration_ms"]) for row in rows} == {("1 + 1", 250.0)}


async def test_student_progress_takes_one_event(api: httpx.AsyncClient) -> None:
    event = {"eventType": "help", "userId": unique(), "eventTime": datetime.now(UTC).isoformat()}
    for stored in (1, 0):
        answer = await api.post("/student-progress", json=event)
        assert answer.status_code == 202
        assert (answer.json()["stored"], answer.json()["duplicates"]) == (stored, 1 - stored)
    snake = {"event_type": "help", "student_id": unique()}
    assert (await api.post("/student-progress/", json=snake)).json()["stored"] == 1


@pytest.mark.parametrize("path", ["/student-progress", "/cell-monitor"])
@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"userId": "a"},{"userId": "b"}', b"{}]", b'{"userId": "\xff"}']
)
async def test_what_is_not_one_object_is_refused(
    api: httpx.AsyncClient, path: str, body: bytes
) -> None:
    answer = await api.post(path, content=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["type"] == "json_invalid"


async def test_one_that_is_no_event_is_kept_as_a_dead_letter(api: httpx.AsyncClient) -> None:
    answer = await api.post("/student-progress", json={"eventType": 5, "userId": unique()})
    assert answer.status_code == 422
    assert [item["path"] for item in answer.json()["rejected"]] == ["eventType"]
