"""Batches lock rows in one order, so that two which meet never wait for each other."""

import asyncio
from datetime import datetime, timedelta

import asyncpg

from monitor.events.event import Event
from tests.support.factories import deadline_soon, make_event, now
from tests.support.sinks import sink_on
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
