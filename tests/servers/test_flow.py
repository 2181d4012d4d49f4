"""An event's whole way: posted as the real extension does, stored, written to InfluxDB, shown."""

import asyncio
import gzip
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.events import event, post
from tests.support.influx import read_points
from tests.support.postgres import Address, fetch, row_counts
from tests.support.replicas import Replica
from tests.support.servers import InfluxServer, RedisServer


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
            assert await row_counts(postgres) == expected
        messages = [await dashboard.next() for _ in captured]
        assert await dashboard.silent()
    assert [message["data"]["eventId"] for message in messages] == [
        json.loads(body)[0]["eventId"] for body in captured
    ]
    assert {message["event"] for message in messages} == {"execution_update"}
    assert {message["channel"] for message in messages} == {"progress:hanako@example.com"}
    assert messages[-1]["data"]["executions"] == 3  # a Markdown cell is no execution
    assert messages[-1]["data"]["errors"] == 1
    (state,) = await fetch(postgres, "SELECT * FROM student_states")
    assert (state["class_id"], state["name"], state["team"]) == (0, "花子", "チーム7")
    assert state["help_stop_at"] > state["help_at"]
    for _ in range(50):
        if len(points := await read_points(influx_server, postgres["database"])) == len(captured):
            break
        await asyncio.sleep(0.1)
    assert len(points) == len(captured)
    assert {point["userId"] for point in points} == {"hanako@example.com"}
    assert sorted(point["success"] for point in points if point["success"] is not None) == [
        False,
        True,
        True,
    ]


async def test_a_message_says_what_happened(replica: Replica) -> None:
    async with replica.listen("?channels=progress:hanako") as dashboard:
        failed = event(hasError=True, errorMessage="NameError: name 'x' is not defined")
        await post(replica, event(eventType="cell_execution_start"), failed)
        started, ended = await dashboard.next(), await dashboard.next()
    assert started["data"]["status"] == "running"
    assert ended["id"] != started["id"]
    assert datetime.fromisoformat(ended["timestamp"]) == datetime.fromisoformat(failed["eventTime"])
    assert ended["channel"] == "progress:hanako"
    assert ended["data"] == {
        "eventId": failed["eventId"],
        "eventType": "cell_executed",
        "userId": "hanako",
        "classId": None,
        "notebookPath": "lesson.ipynb",
        "cellId": "cell-1",
        "cellIndex": 0,
        "status": "error",
        "executions": 1,
        "errors": 1,
        "verified": False,
    }


async def test_sockets_hear_only_their_channels_and_each_message_once(
    replica: Replica, postgres: Address
) -> None:
    await post(replica, event(userId="hanako"), event(userId="taro"))
    await fetch(postgres, "INSERT INTO classes (class_code, name) VALUES ('A', 'A')")
    await fetch(
        postgres,
        "INSERT INTO student_classes SELECT s.id, c.id FROM students s, classes c"
        " WHERE s.user_id = 'taro'",
    )
    (row,) = await fetch(postgres, "SELECT id FROM classes")
    async with (
        replica.listen("?channels=progress:taro,progress:*") as both,
        replica.listen(f"?channels=class:{row['id']}") as of_class,
        replica.listen() as everything,
    ):
        await post(replica, event(userId="hanako"), event(userId="taro"))
        assert [(await both.next())["data"]["userId"] for _ in "12"] == ["hanako", "taro"]
        assert (await of_class.next())["data"]["userId"] == "taro"
        assert [(await everything.next())["data"]["userId"] for _ in "12"] == ["hanako", "taro"]
        for socket in (both, of_class, everything):
            assert await socket.silent()


async def test_commands_on_the_socket(replica: Replica) -> None:
    async with replica.listen() as socket:
        assert (await socket.send(action="ping"))["event"] == "pong"
        answer = await socket.send(action="subscribe", channels=["progress:taro"])
        assert answer["data"] == {"channels": ["progress:taro"], "recovered": True}
        await post(replica, event(userId="hanako"))  # no longer everything
        assert await socket.silent()
        answer = await socket.send(action="unsubscribe", channels=["progress:taro"])
        assert answer["data"] == {"channels": ["progress:taro"]}
        assert (await socket.send(action="dance"))["data"]["code"] == "invalid_command"
        await socket.socket.send("{")
        error = await socket.next()
        assert error["data"]["code"] == "invalid_json"
        assert error.keys() == {"event", "channel", "id", "timestamp", "data"}
        answer = await socket.send(action="subscribe", channels=["x"], since="from-before")
        assert answer["data"]["recovered"] is False


async def test_a_frame_nested_too_deep_is_an_error_like_others(replica: Replica) -> None:
    async with replica.listen() as socket:
        await socket.socket.send('{"x":' + "[" * 30_000)
        assert (await socket.next())["data"]["code"] == "invalid_json"
        assert (await socket.send(action="ping"))["event"] == "pong"


async def test_a_client_that_reads_nothing_is_closed_and_delays_nobody(replica: Replica) -> None:
    async with replica.listen() as lazy, replica.listen("?channels=progress:hanako") as other:
        lazy.socket.transport.pause_reading()
        echo = json.dumps({"action": "unsubscribe", "channels": ["x" * 2000] * 30})
        with suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(3):
                for _ in range(1000):
                    await lazy.socket.send(echo)
        await post(replica, event())
        assert (await other.next(2))["event"] == "execution_update"
        async with httpx.AsyncClient() as client:
            for _ in range(50):
                if (await client.get(f"{replica.url}/health")).json()["sockets"] == 1:
                    break
                await asyncio.sleep(0.1)
            else:
                pytest.fail("the client that reads nothing is still connected")
        lazy.socket.transport.abort()


async def test_a_bad_item_does_not_take_the_others_with_it(
    replica: Replica, postgres: Address
) -> None:
    answer = await post(replica, event(), event(cellIndex="first"), 5, event())
    assert answer.status_code == 202
    assert answer.json()["stored"] == 2
    assert [(each["index"], each["path"]) for each in answer.json()["rejected"]] == [
        (1, "cellIndex"),
        (2, ""),
    ]
    assert (await row_counts(postgres))["rejected"] == 2


async def test_a_number_that_postgresql_refuses_is_left_out(
    replica: Replica, postgres: Address
) -> None:
    poison = event(metadata={"n": 1}, code="poison")
    digits = "1" * 140_000  # more than PostgreSQL's numeric holds
    body = json.dumps([event(), poison, event()]).replace('{"n": 1}', f'{{"n": {digits}}}')
    async with httpx.AsyncClient() as client:
        headers = {"Content-Type": "application/json"}
        answer = await client.post(replica.events_url, content=body, headers=headers)
    assert answer.status_code == 202
    assert answer.json()["stored"] == 3
    (row,) = await fetch(postgres, "SELECT metadata FROM cell_executions WHERE code = 'poison'")
    assert json.loads(row["metadata"]) == {"cut": {"n": 140_000}}


async def test_only_bad_items_are_422_and_kept(replica: Replica, postgres: Address) -> None:
    for _ in "12":
        answer = await post(replica, {"userId": "hanako"}, event(code=1))
        assert answer.status_code == 422
        assert [each["loc"] for each in answer.json()["detail"]] == [
            ["body", 0, "eventType"],
            ["body", 1, "code"],
        ]
        assert answer.json()["detail"][0]["type"] == "missing"
    assert (await row_counts(postgres))[
        "rejected"
    ] <= 3  # a retry adds no second row but event(code)


@pytest.mark.parametrize(
    ("body", "headers", "status", "word"),
    [
        (b"[{", {}, 422, "truncated"),
        (b"{}", {}, 422, "array"),
        (b'[{"eventType": "\xff"}]', {}, 422, "UTF-8"),
        (b"[" * 100_000, {}, 422, "deep"),
        (b"[]", {"Content-Type": "text/html"}, 415, "application/json"),
        (b"[]", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "application/json"),
        (b"[]", {"Content-Encoding": "br"}, 415, "gzip"),
        (b"nonsense", {"Content-Encoding": "gzip"}, 400, "gzip"),
        (gzip.compress(b"[]", mtime=0)[:-4], {"Content-Encoding": "gzip"}, 400, "too early"),
        (gzip.compress(b" ") * 100_000, {"Content-Encoding": "gzip"}, 400, "members"),
        (b"[" + b"1," * 2000 + b"1]", {}, 413, "1000"),
        (b" " * (16 * 1024 * 1024 + 1), {}, 413, "16777216"),
        (gzip.compress(b" " * 200_000_000, 1), {"Content-Encoding": "gzip"}, 413, "16777216"),
    ],
)
async def test_a_body_that_is_no_batch_gets_a_clear_error(
    shared_replica: Replica, body: bytes, headers: dict[str, str], status: int, word: str
) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        headers = {"Content-Type": "application/json"} | headers
        answer = await client.post(shared_replica.events_url, content=body, headers=headers)
    assert answer.status_code == status
    assert word in json.dumps(answer.json()["detail"])


async def test_an_empty_batch_gzip_and_a_trailing_slash_are_welcome(replica: Replica) -> None:
    async with httpx.AsyncClient() as client:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        answer = await client.post(replica.events_url + "/", content=b"[]", headers=headers)
        assert (answer.status_code, answer.json()["received"]) == (202, 0)
        body = gzip.compress(json.dumps([event(), event()]).encode())
        headers["Content-Encoding"] = "gzip"
        answer = await client.post(replica.events_url, content=body, headers=headers)
        assert (answer.status_code, answer.json()["stored"]) == (202, 2)


async def test_browsers_may_post_from_anywhere(replica: Replica) -> None:
    async with httpx.AsyncClient() as client:
        preflight = await client.options(
            replica.events_url,
            headers={
                "Origin": "http://localhost:8888",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "content-type",
            },
        )
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "*"
        assert "content-type" in preflight.headers["access-control-allow-headers"].lower()
    answer = await post(replica, event(), headers={"Origin": "http://localhost:8888"})
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_unknown_paths_and_methods_are_json_errors(shared_replica: Replica) -> None:
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{shared_replica.url}/nothing")).json() == {"detail": "Not Found"}
        answer = await client.get(shared_replica.events_url)
        assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})
