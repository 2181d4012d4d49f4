"""The events of end-to-end tests: on every replica, for ten minutes, bounded, not everywhere."""

from typing import Any

import asyncpg
import httpx
import pytest

from tests.support.lms import error_location, unique
from tests.support.postgres import Address
from tests.support.replicas import Replica


async def test_any_replica_shows_what_another_was_given(environment: dict[str, str]) -> None:
    with Replica(environment) as one, Replica(environment | second(environment)) as other:
        async with httpx.AsyncClient() as client:
            url, same = (f"{each.url}/api/v1/test/events/t" for each in (one, other))
            posted = await client.post(url, json=[{"eventType": "花", "x": {"y": [1.0]}}, {}])
            assert (posted.status_code, list(posted.json())) == (200, ["message"])
            await client.post(same, json=[{"z": 3}])
            recorded = (await client.get(same)).json()
            assert (recorded["test_id"], recorded["count"]) == ("t", 3)
            assert all(event.pop("received_at") for event in recorded["events"])
            assert recorded["events"] == [{"eventType": "花", "x": {"y": [1.0]}}, {}, {"z": 3}]
            listed = (await client.get(f"{one.url}/api/v1/test/events")).json()
            assert listed == {"test_ids": ["t"], "count": 1}
            assert list((await client.delete(same)).json()) == ["message"]
            assert (await client.delete(url)).status_code == 404
            assert (await client.get(url)).json() == {"test_id": "t", "events": [], "count": 0}


def second(environment: dict[str, str]) -> dict[str, str]:
    return {"DATA_DIR": environment["DATA_DIR"] + "-2"}


async def test_after_ten_minutes_they_are_gone(replica: Replica, postgres: Address) -> None:
    connection = await asyncpg.connect(**postgres)
    async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1/test/events") as client:
        for name in ("old", "new"):
            await client.post(name, json=[{}])
        await connection.execute(
            "UPDATE test_events SET received_at = now() - interval '10 minutes 1 second'"
            " WHERE test_id = 'old'"
        )
        assert (await client.get("old")).json()["events"] == []
        assert (await client.get("")).json() == {"test_ids": ["new"], "count": 1}
        assert (await client.delete("old")).status_code == 404
        await client.post("new", json=[{}])
        assert await connection.fetchval("SELECT count(*) FROM test_events") == 2
    await connection.close()


async def test_there_is_a_limit(api: httpx.AsyncClient) -> None:
    path = f"/test/events/{unique()}"
    for _ in range(10):
        assert (await api.post(path, json=[{}] * 1000)).status_code == 200
    refused = await api.post(path, json=[{}])
    assert refused.status_code == 413
    assert "10000" in refused.json()["detail"]
    assert (await api.get(path)).json()["count"] == 10_000
    assert (await api.delete(path)).status_code == 200
    assert error_location(await api.post(path, json=[{}] * 1001)) == ["body"]
    large = [{"x": "x" * 15_000_000}]
    statuses = [(await api.post(path, json=large)).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 200, 413]
    assert (await api.delete(path)).status_code == 200


@pytest.mark.parametrize("body", [{}, [1], "x", [[]], None])
async def test_what_is_no_array_of_objects_is_refused(api: httpx.AsyncClient, body: Any) -> None:
    assert error_location(await api.post("/test/events/x", json=body))[0] == "body"


async def test_a_name_may_be_any_text(api: httpx.AsyncClient) -> None:
    for name in ("%00", "%ED%A0%80", "%E8%8A%B1", "a%20b"):
        path = f"/test/events/{name}"
        assert (await api.post(path, json=[{}])).status_code == 200
        assert (await api.get(path)).json()["count"] == 1
        assert (await api.delete(path)).status_code == 200
    assert error_location(await api.get("/test/events/" + "x" * 513)) == ["path", "test_id"]


async def test_they_can_be_switched_off(environment: dict[str, str]) -> None:
    with Replica(environment | {"TEST_EVENTS": "off"}) as replica:
        async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1") as client:
            assert (await client.post("/test/events/t", json=[])).status_code == 404
            document = (await client.get("/openapi.json")).json()
    assert not [path for path in document["paths"] if "/test/" in path]
