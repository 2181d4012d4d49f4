"""Batches and calls lock rows in one order, so that two which meet never wait for each other."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import httpx
import pytest

from monitor.events.event import Event
from tests.support.factories import deadline_soon, make_event, now
from tests.support.lms import create, create_class_of
from tests.support.replicas import Replica
from tests.support.sinks import sink_on
from tests.support.tokens import SECRET, client, token
from tests.support.waiting import eventually

WAITING = """
    SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND datname = current_database()
"""
LOCK = "SELECT FROM sessions WHERE session_id = $1 FOR UPDATE NOWAIT"


async def are_waiting(pool: asyncpg.Pool, number: int) -> bool:
    return bool(await pool.fetchval(WAITING) >= number)


async def test_sessions_are_locked_by_name_where_two_batches_meet(pool: asyncpg.Pool) -> None:
    start = now() - timedelta(minutes=5)
    names = ["z", "b", "B", "a"]  # in the order of their ids

    def events(kind: str, time: datetime) -> list[Event]:
        fields = {"type": kind, "time": time, "received_at": time, "student": "ana"}
        return [make_event(session=name, **fields) for name in names]

    sink, other = sink_on(pool), sink_on(pool)
    for event in events("session_start", start):
        await sink.write([event], deadline_soon())
    async with (
        pool.acquire() as connection,
        asyncio.TaskGroup() as tasks,
        connection.transaction(),
    ):
        await connection.execute(LOCK, "B")  # the first one
        # One updates the sessions that it knows, the other finds that they began earlier.
        tasks.create_task(sink.write(events("session_end", now()), deadline_soon()))
        tasks.create_task(
            other.write(events("help", start - timedelta(minutes=1)), deadline_soon())
        )
        await eventually(lambda: are_waiting(pool, 2))
        for name in ("a", "b", "z"):  # no batch has one of them
            await connection.execute(LOCK, name)
    ended = "SELECT count(*) FROM sessions WHERE end_time > start_time + interval '5 minutes'"
    assert await pool.fetchval(ended) == len(names)


@pytest.fixture
async def replica(environment: dict[str, str]) -> AsyncIterator[Replica]:
    with Replica({**environment, "JWT_SECRET": SECRET}) as running:
        yield running


async def answers_in_turn(
    pool: asyncpg.Pool, lock: str, *calls: Coroutine[Any, Any, httpx.Response]
) -> list[int]:
    """The statuses of calls that are made one after the other while somebody has this lock."""
    async with pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute(lock)
            tasks = []
            for number, call in enumerate(calls, 1):
                tasks.append(asyncio.create_task(call))
                await eventually(partial(are_waiting, pool, number))
        return [answer.status_code for answer in await asyncio.gather(*tasks)]


async def test_a_room_is_changed_while_somebody_gets_a_seat(
    pool: asyncpg.Pool, replica: Replica
) -> None:
    async with (
        client(replica.url, token("root", "admin")) as admin,
        client(replica.url, token("sato", "instructor")) as sato,
    ):
        class_id = (await create(sato, "/classes", name="A", class_code="A"))["id"]
        ann = (await create(sato, f"/classes/{class_id}/students", user_id="ann"))["student_id"]
        path = f"/classes/{class_id}"
        room = {"rows": 2, "columns": 2, "seats": [{"student_id": ann, "row": 1, "column": 1}]}
        for by in (sato, admin):
            assert (await by.put(f"{path}/room", json=room)).status_code == 200
            statuses = await answers_in_turn(
                pool,
                f"SELECT FROM rooms WHERE class_id = {class_id} FOR UPDATE",
                by.put(f"{path}/room", json={**room, "rows": 3}),
                sato.post(f"{path}/students", json={"student_id": ann, "seat": "B2"}),
            )
            assert statuses == [200, 201]


async def test_two_enrol_somebody_at_the_same_time(pool: asyncpg.Pool, replica: Replica) -> None:
    async with client(replica.url, token("sato", "instructor")) as sato:
        first, second = [
            (await create(sato, "/classes", name=name, class_code=name))["id"] for name in "AB"
        ]
        for class_id in (first, second):
            path = f"/classes/{class_id}/students"
            ann = (await create(sato, path, user_id="ann", seat="A1"))["student_id"]
        statuses = await answers_in_turn(
            pool,
            "SELECT FROM rooms FOR UPDATE",
            *(
                sato.post(f"/classes/{class_id}/students", json={"student_id": ann, "seat": "A2"})
                for class_id in (first, second)
            ),
        )
        assert statuses == [201, 201]


async def test_students_are_merged_while_a_room_is_changed(
    pool: asyncpg.Pool, replica: Replica
) -> None:
    async with client(replica.url, token("root", "admin")) as api:
        class_id, _, (ann, old, ben) = await create_class_of(api, "ann", "old", "ben")
        path = f"/classes/{class_id}/room"
        room = {"rows": 1, "columns": 1}
        seats = [{"student_id": student, "row": 1, "column": 1} for student in (old, ben)]
        assert (await api.put(path, json={**room, "seats": seats[:1]})).status_code == 200
        statuses = await answers_in_turn(
            pool,
            f"SELECT FROM student_classes WHERE student_id = {ben} FOR UPDATE",
            api.put(path, json={**room, "seats": seats[1:]}),
            api.post(f"/students/{old}/merge", json={"into": ann}),
        )
        assert statuses == [200, 200]
        assert (await api.get(path)).json()["seats"] == seats[1:]
