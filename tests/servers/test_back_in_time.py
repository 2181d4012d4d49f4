"""The database goes back in time while a server runs: its cached ids name no other rows."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from monitor.database.pool import close_pool, open_pool
from monitor.errors import RowRefused
from tests.support.factories import deadline_soon, make_event
from tests.support.postgres import Address, psql, run_client
from tests.support.sinks import retry_of, sink_on

WHOSE = """
    SELECT s.user_id, x.session_id, a.path, c.cell_id FROM cell_executions AS e
    JOIN students AS s ON s.id = e.student_id
    LEFT JOIN sessions AS x ON x.id = e.session_id AND x.student_id = e.student_id
    LEFT JOIN notebook_aliases AS a ON a.id = e.alias_id
    LEFT JOIN cells AS c ON c.id = e.cell_id AND c.alias_id = e.alias_id
    WHERE e.event_id = $1
"""
TRUNCATE = """
    BEGIN;
    SET session_replication_role = replica;
    DO $$ BEGIN EXECUTE (
        SELECT 'TRUNCATE ' || string_agg(oid::regclass::text, ', ') FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
            AND NOT relispartition
    ); END $$;
"""

Restore = Callable[[Address, bytes, asyncpg.Pool], Awaitable[None]]


async def keep_connections(address: Address, dump: bytes, pool: asyncpg.Pool) -> None:
    await psql(address, stdin=TRUNCATE.encode() + dump + b"\nCOMMIT;\n")


async def end_connections(address: Address, dump: bytes, pool: asyncpg.Pool) -> None:
    await psql(address, stdin=TRUNCATE.encode() + dump + b"\nCOMMIT;\n")
    await psql(
        address,
        "-c",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


async def replace_connections(address: Address, dump: bytes, pool: asyncpg.Pool) -> None:
    await keep_connections(address, dump, pool)
    await pool.expire_connections()


@pytest.mark.parametrize("restore", [keep_connections, end_connections, replace_connections])
async def test_ids_issued_anew_are_not_taken_for_those_before(
    pool: asyncpg.Pool, postgres: Address, restore: Restore
) -> None:
    sink = sink_on(pool)
    await sink.write([make_event(student="ana")], deadline_soon())
    dump = await run_client("pg_dump", postgres, "--data-only")
    place = {"student": "ben", "session": "b", "notebook": "b.ipynb", "cell": "b1"}
    await sink.write([make_event(**place)], deadline_soon())
    await restore(postgres, dump, pool)

    elsewhere = await open_pool(postgres, 1, 5.0)
    other = {"student": "chloe", "session": "c", "notebook": "c.ipynb", "cell": "c1"}
    await sink_on(elsewhere).write([make_event(**other)], deadline_soon())
    await close_pool(elsewhere, 5.0)
    event = make_event(**place)
    await sink.write([event], deadline_soon())
    assert tuple(await pool.fetchrow(WHOSE, uuid.UUID(str(event.id)))) == tuple(place.values())


async def test_names_of_a_refused_batch_are_not_taken_for_those_before(
    pool: asyncpg.Pool, postgres: Address
) -> None:
    sink = sink_on(pool)
    await sink.write([make_event(student="ana")], deadline_soon())
    dump = await run_client("pg_dump", postgres, "--data-only")
    with pytest.raises(RowRefused):
        await sink.write([make_event(student="ben", execution_count=2**40)], deadline_soon())
    await keep_connections(postgres, dump, pool)

    await sink_on(pool).write([make_event(student="chloe")], deadline_soon())
    event = make_event(student="ben")
    await sink.write([event], deadline_soon())
    assert (await pool.fetchrow(WHOSE, uuid.UUID(str(event.id))))["user_id"] == "ben"


async def test_a_server_at_work_sees_no_going_back(
    pool: asyncpg.Pool, caplog: pytest.LogCaptureFixture
) -> None:
    sink = sink_on(pool)
    for _ in range(3):
        events = [make_event(student=f"student-{number}") for number in range(8)]
        await asyncio.gather(*(sink.write([each], deadline_soon()) for each in events))
        repeated = await sink.write([retry_of(events[0])], deadline_soon())
        assert repeated.duplicates == [0]
        with pytest.raises(RowRefused):
            await sink.write([make_event(execution_count=2**40)], deadline_soon())
    assert "back in time" not in caplog.text
