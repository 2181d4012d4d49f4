"""An event's whole way: posted as the real extension does, stored, drawn and shown."""

import asyncio
import gzip
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import pytest

from tests.conftest import Address
from tests.replicas import Replica
from tests.servers import InfluxServer, RedisServer

COUNTS = """
    SELECT (SELECT count(*) FROM students) AS students,
           (SELECT count(*) FROM sessions) AS sessions,
           (SELECT count(*) FROM notebooks) AS notebooks,
           (SELECT count(*) FROM cells) AS cells,
           (SELECT count(*) FROM cell_executions) AS executions,
           (SELECT count(*) FROM cell_executions WHERE status = 'error') AS errors,
           (SELECT count(*) FROM notebook_accesses) AS accesses,
           (SELECT count(*) FROM events) AS events,
           (SELECT count(*) FROM rejected_events) AS rejected
"""


def now() -> str:
    return datetime.now(UTC).isoformat()


def event(**fields: Any) -> dict[str, Any]:
    return {
        "eventId": str(uuid.uuid4()),
        "eventType": "cell_executed",
        "eventTime": now(),
        "userId": "hanako",
        "sessionId": "session-1",
        "notebookPath": "lesson.ipynb",
        "cellId": "cell-1",
        "cellIndex": 0,
        "cellType": "code",
        "code": "1 + 1",
        "result": "2",
    } | fields


async def counts(postgres: Address) -> dict[str, int]:
    connection = await asyncpg.connect(**postgres)
    try:
        return dict(await connection.fetchrow(COUNTS))
    finally:
        await connection.close()


async def fetch(postgres: Address, query: str) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(**postgres)
    try:
        return [dict(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def post(replica: Replica, *events: Any, **options: Any) -> httpx.Response:
    async with httpx.AsyncClient(timeout=15) as client:
        return await client.post(replica.events_url, json=list(events), **options)


@pytest.fixture
def full_replica(
    environment: dict[str, str], influx_server: InfluxServer, redis_server: RedisServer
) -> Iterator[Replica]:
    """A replica with InfluxDB and Redis."""
    more = {
        "INFLUXDB_URL": influx_server.url,
        "INFLUXDB_BUCKET": environment["POSTGRES_DB"],
        "REDIS_HOST": redis_server.host,
        "REDIS_PORT": str(redis_server.port),
    }
    with Replica(environment | more) as replica:
        yield replica


async def points(influx: InfluxServer, bucket: str) -> list[list[Any]]:
    async with httpx.AsyncClient() as client:
        query = {"db": bucket, "q": "SELECT * FROM student_progress"}
        answer = (await client.get(f"{influx.url}/query", params=query)).json()
    series = answer["results"][0].get("series", [])
    return (
        [dict(zip(series[0]["columns"], row, strict=True)) for row in series[0]["values"]]
        if series
        else []
    )


async def test_the_captured_lesson_is_stored_drawn_and_shown_once(
    full_replica: Replica, postgres: Address, influx_server: InfluxServer, captured: list[str]
) -> None:
    headers = {"Content-Type": "application/json"}
    expected = {
        "students": 1,
        "sessions": 1,
        "notebooks": 1,
        "cells": 4,
        "executions": 4,
        "errors": 1,
        "accesses": 1,
        "events": 3,
        "rejected": 0,
    }
    async with httpx.AsyncClient() as client, full_replica.listen() as dashboard:
        for stored in (1, 0):
            for body in captured:
                answer = await client.post(full_replica.events_url, content=body, headers=headers)
                assert answer.status_code == 202
                assert answer.json() == {
                    "message": "1 events received and queued for processing.",
                    "received": 1,
                    "stored": stored,
                    "duplicates": 1 - stored,
                    "rejected": [],
                }
            assert await counts(postgres) == expected
        messages = [await dashboard.next() for _ in captured]
        assert await dashboard.silent()
    assert [message["data"]["eventId"] for message in messages] == [
        json.loads(body)[0]["eventId"] for body in captured
    ]
    assert {message["event"] for message in messages} == {"execution_update"}
    assert {message["channel"] for message in messages} == {"progress:hanako@example.com"}
    assert messages[-1]["data"]["executions"] == 4
    assert messages[-1]["data"]["errors"] == 1
    (student,) = await fetch(postgres, "SELECT * FROM students")
    assert student["name"] == "花子"
    assert student["team"] == "チーム7"
    assert student["help_active"] is False
    for _ in range(50):
        if len(drawn := await points(influx_server, postgres["database"])) == len(captured):
            break
        await asyncio.sleep(0.1)
    assert len(drawn) == len(captured)
    assert {point["userId"] for point in drawn} == {"hanako@example.com"}
    assert sorted(point["success"] for point in drawn if point["success"] is not None) == [
        False,
        True,
        True,
        True,
    ]
