"""Events of older clients are stored like all others."""

import gzip
import json
from datetime import UTC, datetime

import httpx
import pytest

from tests.support.lms import unique
from tests.support.postgres import Address, fetch, row_counts
from tests.support.replicas import Replica
from tests.support.wire import legacy_cell


async def test_cells_are_stored_once_whether_alone_or_in_an_array(
    replica: Replica, postgres: Address
) -> None:
    one, other = legacy_cell(), legacy_cell(cellId="d", executionStatus="error")
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
    counts = await row_counts(postgres)
    assert (counts["executions"], counts["errors"], counts["rejected"]) == (2, 1, 1)
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
