"""Rosters in memory, which one batch may drop while another is being placed."""

import asyncio

import asyncpg

from monitor.events.event import Source
from monitor.pipeline.rosters import RosterCache
from tests.support.factories import make_event


async def test_rosters_that_are_dropped_meanwhile_move_nobody_out_of_their_class(
    pool: asyncpg.Pool,
) -> None:
    cache = RosterCache()
    async with pool.acquire() as connection:
        class_id = await connection.fetchval(
            "INSERT INTO classes (class_code, name) VALUES ('M1', '数学') RETURNING id"
        )
        student = await connection.fetchval(
            "INSERT INTO students (user_id) VALUES ('hanako') RETURNING id"
        )
        await connection.execute(
            "INSERT INTO student_classes (class_id, student_id) VALUES ($1, $2)", class_id, student
        )
        await cache.load(connection)
        event = make_event(student="hanako", source=Source("token 1", class_id, "hanako", True))
        placing = asyncio.create_task(cache.place(connection, [(event, student)]))
        await asyncio.sleep(0)  # it waits for PostgreSQL
        assert not placing.done()
        cache.forget()
        places, refused, _ = await placing
    assert (places[0].class_id, refused) == (class_id, {})
