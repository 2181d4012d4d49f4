"""What real clients send in odd forms is stored, and large bodies cost their sender only."""

import asyncio
import gzip
import json
import time
from typing import Any

import httpx
import pytest

from tests.support.events import event
from tests.support.fixtures import replica_fixture
from tests.support.lms import unique
from tests.support.postgres import Address, fetch
from tests.support.replicas import Replica
from tests.support.tokens import SECRET, client, token

MIB = 1024 * 1024
named_origin = replica_fixture("module", BACKEND_CORS_ORIGINS="https://lab.example")
guarded = replica_fixture("module", JWT_SECRET=SECRET)


def large(mebibytes: int, **fields: Any) -> bytes:
    return json.dumps([event(result="x" * (mebibytes * MIB), **fields)]).encode()


async def send(
    replica: Replica, body: bytes, path: str = "/events", **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1", timeout=60) as api:
        return await api.post(path, content=body, headers=named)


@pytest.mark.parametrize("path", ["/events", "/student-progress", "/cell-monitor"])
@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "text/plain", ""])
async def test_a_beacon_is_read_as_json(
    shared_replica: Replica, path: str, content_type: str
) -> None:
    fields = event(userId=unique())
    if path == "/cell-monitor":
        fields = {"userId": unique(), "cellContent": "1"}
    body = json.dumps(fields if path == "/student-progress" else [fields]).encode()
    headers = {"Content_Type": content_type} if content_type else {}
    answer = await send(shared_replica, body, path, Origin="http://localhost:8888", **headers)
    assert (answer.status_code, answer.json()["stored"]) == (202, 1)
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_beacon_of_another_origin_than_the_named_ones_is_refused(
    named_origin: Replica,
) -> None:
    body = json.dumps([event(userId=unique())]).encode()
    allowed = {"Origin": "https://lab.example", "Content_Type": "text/plain"}
    answer = await send(named_origin, body, **allowed)
    assert answer.status_code == 202
    assert answer.headers["access-control-allow-origin"] == "https://lab.example"
    answer = await send(named_origin, body, **(allowed | {"Origin": "https://evil.example"}))
    assert answer.status_code == 403
    assert "BACKEND_CORS_ORIGINS" in answer.json()["detail"]
    assert (await send(named_origin, body, Origin="https://evil.example")).status_code == 403
    assert (await send(named_origin, body, Content_Type="text/plain")).status_code == 202


@pytest.mark.parametrize("path", ["/student-progress", "/cell-monitor"])
async def test_the_older_routes_take_odd_forms_too(shared_replica: Replica, path: str) -> None:
    fields = {"userId": unique(), "cellIndex": "3", "executionDurationMs": float("nan")}
    fields |= {"eventType": "cell_executed", "metadata": []}
    body = json.dumps(fields)
    for encoded in (body.encode("utf-8-sig"), body.encode("utf-16")):
        answer = await send(shared_replica, encoded, path)
        assert (answer.status_code, answer.json()["stored"]) == (202, 1)


async def test_odd_bodies_are_stored_once(replica: Replica, postgres: Address) -> None:
    now = int(time.time() * 1000)
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["NaN\n"]},
        {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo="}},
    ]
    odd = event(eventId=5, eventTime=now, code=["a\n", "b"], result=outputs, metadata=[])
    bodies: list[bytes | str] = [
        json.dumps([odd, event(executionDurationMs=float("nan")), event()]),
        large(17, code="large"),
        json.dumps([event(eventId=None, eventTime=now / 1000, metadata={"v": float("inf")})]),
    ]
    for stored in (True, False):
        for body, count in zip(bodies, (3, 1, 1), strict=True):
            raw = body if isinstance(body, bytes) else body.encode()
            answer = (await send(replica, raw)).json()
            outcome = (answer["stored"], answer["duplicates"], answer["rejected"])
            assert outcome == ((count, 0, []) if stored else (0, count, []))
    rows = await fetch(postgres, "SELECT * FROM cell_executions WHERE code IN (E'a\\nb', 'large')")
    odd_row, large_row = sorted(rows, key=lambda row: str(row["code"]))
    assert odd_row["output"] == "NaN\n"
    assert odd_row["executed_at"].timestamp() * 1000 == pytest.approx(now, abs=0.01)
    assert json.loads(odd_row["metadata"]) == {
        "metadata": [],
        "pictures": [{"mimeType": "image/png", "bytes": 8, "data": "iVBORw0KGgo="}],
    }
    assert 14 * MIB <= len(large_row["output"]) <= 16 * MIB
    assert json.loads(large_row["metadata"]) == {"cut": {"result": 17 * MIB + 2}}


async def test_one_event_may_be_three_times_as_large(shared_replica: Replica) -> None:
    fits = large(47, userId=unique())
    answer = await send(shared_replica, fits)
    assert (answer.status_code, answer.json()["stored"]) == (202, 1)
    answer = await send(shared_replica, gzip.compress(fits, 1), Content_Encoding="gzip")
    assert (answer.status_code, answer.json()["duplicates"]) == (202, 1)
    answer = await send(shared_replica, fits[1:-1], "/student-progress")
    assert (answer.status_code, answer.json()["duplicates"]) == (202, 1)
    answer = await send(shared_replica, large(48))
    assert answer.status_code == 413
    assert str(48 * MIB) in answer.json()["detail"]
    several = b"[" + large(17)[1:-1] + b"," + json.dumps(event()).encode() + b"]"
    for body, headers in (
        (several, {}),
        (gzip.compress(several, 1), {"Content_Encoding": "gzip"}),
    ):
        answer = await send(shared_replica, body, **headers)
        assert answer.status_code == 413
        assert str(16 * MIB) in answer.json()["detail"]


def peak(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    with open(f"/proc/{pid}/status") as file:  # noqa: PTH123 - a file of the kernel
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


async def test_many_large_bodies_are_refused_for_their_caller(guarded: Replica) -> None:
    async with client(guarded.url, token("root", "admin")) as api:
        keys = [(await api.post("/ingest-keys", json={"name": "x"})).json()["key"] for _ in "123"]
    body = large(47)

    async def post(key: str, content: bytes) -> httpx.Response:
        return await send(guarded, content, f"/events?key={key}", Content_Type="application/json")

    async def others() -> float:
        """The longest answer for somebody else meanwhile, in seconds."""
        slowest = 0.0
        for _ in range(20):
            started = time.monotonic()
            answer = await post(keys[1], json.dumps([event(userId=unique())]).encode())
            assert answer.status_code == 202
            slowest = max(slowest, time.monotonic() - started)
            await asyncio.sleep(0.05)
        return slowest

    watching = asyncio.create_task(others())
    answers = await asyncio.gather(*(post(keys[0], body) for _ in range(12)))
    assert {answer.status_code for answer in answers} == {202, 503}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.headers["retry-after"]
    assert await watching < 5
    assert (await post(keys[2], body)).status_code == 202
    assert guarded.process
    memory = peak(guarded.process.pid)
    assert memory < 512 * MIB, memory
