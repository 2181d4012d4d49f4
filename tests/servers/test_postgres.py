"""The primary sink on a real PostgreSQL: exactly once, whatever the order."""

import asyncio
import json
import random
import uuid
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import asyncpg
import pytest

from monitor.database.migrations import SQL
from monitor.database.pool import close_pool, open_pool
from monitor.errors import RowRefused
from monitor.events.decoding import decode
from tests.support.factories import deadline_soon, make_event, now
from tests.support.postgres import Address, psql
from tests.support.sinks import retry_of, sink_on

HOMES = ("cell_executions", "notebook_accesses", "events")
EXECUTED = {
    "cell_execution_complete": "success",
    "cell_executed": "success",
    "cell_execution": "success",
    "cell_execution_error": "error",
    "cell_error": "error",
}
ACCESSED = {
    "notebook_open": "open",
    "notebook_opened": "open",
    "notebook_save": "save",
    "notebook_saved": "save",
    "notebook_close": "close",
    "notebook_closed": "close",
}
OTHERS = ("cell_execution_start", "session_start", "session_end", "help", "help_stop", "quiz 花")
STUDENT = """
    SELECT s.name, s.email, s.team, s.executions, s.errors, s.last_received_at, last_success_at,
        error_times::text, s.help_at, s.help_stop_at, alias_at, cell_at
    FROM student_states AS s JOIN students ON students.id = student_id WHERE user_id = $1
"""
NAME = """
    SELECT s.name FROM student_states AS s JOIN students ON students.id = student_id
    WHERE user_id = $1
"""
SESSIONS = """
    SELECT s.session_id, s.start_time, s.last_start_time, s.end_time, s.is_active
    FROM sessions AS s JOIN students ON students.id = s.student_id
    WHERE user_id = $1 ORDER BY s.session_id
"""


async def counts(pool: asyncpg.Pool) -> dict[str, int]:
    return {table: await pool.fetchval(f"SELECT count(*) FROM {table}") for table in HOMES}


async def total(pool: asyncpg.Pool) -> int:
    return sum((await counts(pool)).values())


async def test_an_event_repeated_in_a_batch_is_stored_once(pool: asyncpg.Pool) -> None:
    event, other = make_event(), make_event(type="help")
    stored = await sink_on(pool).write(
        [event, retry_of(event), other, retry_of(other), retry_of(event)], deadline_soon()
    )
    assert {id(each) for each in stored.events} == {id(event), id(other)}
    assert len(stored.duplicates) == 3
    assert [state.executions for state in stored.states.values()] == [1]
    assert await counts(pool) == {"cell_executions": 1, "notebook_accesses": 0, "events": 1}


async def test_an_event_repeated_in_a_later_batch_is_stored_once(pool: asyncpg.Pool) -> None:
    events = [
        make_event(),
        make_event(type="help"),
        make_event(type="notebook_saved"),
        make_event(type="cell_error"),
    ]
    await sink_on(pool).write(events, deadline_soon())
    new = make_event()
    for sink in (sink_on(pool), sink_on(pool)):
        stored = await sink.write([*map(retry_of, events), retry_of(new)], deadline_soon())
        assert len(stored.duplicates) == len(events) + (not stored.events)
    assert await total(pool) == 5
    assert dict(await pool.fetchrow("SELECT executions, errors FROM student_states")) == {
        "executions": 3,
        "errors": 1,
    }


@pytest.mark.parametrize("offset", ["+20:00", "-23:59", "+09:00"])
async def test_whatever_its_offset_an_event_of_a_usable_time_is_stored(
    pool: asyncpg.Pool, offset: str
) -> None:
    time = f"{now():%Y-%m-%dT%H:%M:%S}"
    body = f'[{{"eventType": "help", "userId": "hanako", "eventTime": "{time}{offset}"}}]'
    items = decode(body.encode(), now(), 1)
    stored = await sink_on(pool).write(items.events, deadline_soon())
    assert len(stored.events) == 1
    (kept,) = await pool.fetch("SELECT event_time FROM events")
    assert kept["event_time"] == datetime.fromisoformat(time + offset)


async def test_one_id_of_two_students_is_two_events(pool: asyncpg.Pool) -> None:
    event = make_event()
    stored = await sink_on(pool).write([event, retry_of(event, student="taro")], deadline_soon())
    assert len(stored.events) == 2
    assert await total(pool) == 2


async def test_events_written_by_several_at_once_are_stored_once(pool: asyncpg.Pool) -> None:
    types = ("cell_executed", "help", "notebook_open", "session_start")
    events = [
        make_event(student=f"s{n % 7}", type=types[n % 4], cell=f"c{n % 5}") for n in range(200)
    ]
    sent = [
        [
            retry_of(event, received_at=event.received_at + timedelta(seconds=second))
            for event in events
        ]
        for second in range(4)
    ]
    batches = [random.sample(each, len(events)) for each in sent]
    written = await asyncio.gather(
        *(sink_on(pool).write(batch, deadline_soon()) for batch in batches)
    )
    assert sum(len(stored.events) for stored in written) == 200
    assert sum(len(stored.duplicates) for stored in written) == 600
    assert await total(pool) == 200
    assert await pool.fetchval("SELECT sum(executions) FROM student_states") == 50


async def test_an_event_without_a_time_keeps_that_of_its_first_receipt(pool: asyncpg.Pool) -> None:
    first = make_event(untimed=True)
    received_at = first.received_at
    retry = retry_of(first, received_at=received_at + timedelta(seconds=5))
    assert len((await sink_on(pool).write([first], deadline_soon())).events) == 1
    assert len((await sink_on(pool).write([retry], deadline_soon())).duplicates) == 1
    assert first.time == retry.time == received_at
    assert await pool.fetchval("SELECT executed_at FROM cell_executions") == received_at


async def test_untimed_event_written_twice_at_once_is_stored_once(
    pool: asyncpg.Pool,
) -> None:
    first = make_event(untimed=True)
    copies = [retry_of(first, received_at=now() + timedelta(seconds=n)) for n in range(4)]
    await asyncio.gather(
        *(sink_on(pool).write([each, retry_of(each)], deadline_soon()) for each in copies)
    )
    assert await total(pool) == 1


def lesson() -> list[dict[str, Any]]:
    start = now() - timedelta(minutes=10)
    said: list[dict[str, Any]] = [
        {"type": "session_start", "name": "Hana", "team": "チーム1"},
        {"type": "help", "name": "花子"},
        {"type": "help_stop", "email": "h@example.com", "team": "チーム99"},
        {"type": "session_end", "name": "花子"},
        {"type": "cell_error", "session": "session-2", "name": None},
    ]
    return [
        {
            "id": uuid.uuid4(),
            "time": start + timedelta(minutes=n),
            "received_at": start + timedelta(hours=1),  # later than any clock's error explains
            **fields,
        }
        for n, fields in enumerate(said)
    ]


async def test_students_and_sessions_ignore_arrival_order(
    pool: asyncpg.Pool,
) -> None:
    sink, found = sink_on(pool), set()
    for number, order in enumerate(permutations(lesson())):
        student = f"student-{number}"
        events = [make_event(student=student, **fields) for fields in order]
        cut = number % 5
        for batch in [events[:cut], *([event] for event in events[cut:])]:
            if batch:
                await sink.write(batch, deadline_soon())
        row, sessions = await pool.fetchrow(STUDENT, student), await pool.fetch(SESSIONS, student)
        found.add((tuple(row), tuple(map(tuple, sessions))))
    ((student_row, session_rows),) = found
    assert student_row[:5] == ("花子", "h@example.com", "チーム99", 1, 1)
    called_at, stopped_at = student_row[8:10]
    assert called_at < stopped_at
    assert [row[4] for row in session_rows] == [False, True]


async def test_names_of_one_time_ignore_arrival_order(
    pool: asyncpg.Pool,
) -> None:
    time, names = now(), ["Hana", "花子", "hana"]
    found = set()
    for number, order in enumerate(permutations(names)):
        sink = sink_on(pool)
        for name in order:
            await sink.write(
                [make_event(student=f"s{number}", name=name, time=time)], deadline_soon()
            )
        found.add(await pool.fetchval(NAME, f"s{number}"))
    assert len(found) == 1


CELL_OF_PATH = """
    SELECT type, position FROM cell_progress JOIN notebook_aliases AS n ON n.id = alias_id
    WHERE path = $1
"""
CELL_STORIES: list[list[dict[str, Any]]] = [
    [
        {"cell_type": "code", "cell_index": 0},
        {"cell_type": "markdown", "cell_index": 3},
        {"cell_type": "raw", "cell_index": 1},
    ],
    [
        {"cell_type": "code", "cell_index": None},
        {"cell_type": "markdown", "cell_index": None},
        {"cell_type": None, "cell_index": 5},
    ],
]


@pytest.mark.parametrize("story", CELL_STORIES, ids=["whole", "in parts"])
async def test_cells_do_not_depend_on_the_order_of_arrival(
    pool: asyncpg.Pool, story: list[dict[str, Any]]
) -> None:
    start = now()
    said = [fields | {"time": start + timedelta(seconds=n)} for n, fields in enumerate(story)]
    sink, found = sink_on(pool), set()
    for number, order in enumerate(permutations(said)):
        for fields in order:
            await sink.write([make_event(notebook=f"{number}.ipynb", **fields)], deadline_soon())
            await pool.execute("SELECT count_batches(1)")
        found.add(tuple(await pool.fetchrow(CELL_OF_PATH, f"{number}.ipynb")))
    assert len(found) == 1


async def test_an_old_event_makes_the_partition_of_its_month(pool: asyncpg.Pool) -> None:
    sink = sink_on(pool)
    await sink.write([make_event()], deadline_soon())
    old = now() - timedelta(days=390)
    for kind in ("cell_executed", "help", "notebook_open"):
        await sink.write([make_event(type=kind, time=old)], deadline_soon())
    for table, column in zip(HOMES, ("executed_at", "accessed_at", "event_time"), strict=True):
        query = f"SELECT tableoid::regclass::text FROM {table} WHERE {column} = $1"
        assert await pool.fetchval(query, old) == f"{table}_{old:%Y_%m}"


async def test_partitions_are_made_ahead_and_there_is_no_default_one(pool: asyncpg.Pool) -> None:
    query = """
        SELECT count(*) FILTER (WHERE pg_get_expr(relpartbound, oid) = 'DEFAULT') AS defaults,
               count(*) AS partitions
        FROM pg_class WHERE relispartition AND relkind = 'r'
            AND relname NOT LIKE 'student_activity%'
    """
    assert dict(await pool.fetchrow(query)) == {"defaults": 0, "partitions": 3 * 4}


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": '{"n": 1e200000}'},
        {"metadata": '{"text": "\\u0000"}'},
        {"metadata": "no json"},
        {"code": "a\0b"},
        {"execution_count": 2**31},
    ],
    ids=lambda fields: next(iter(fields.items())),
)
async def test_refused_row_rolls_back_its_batch(pool: asyncpg.Pool, fields: dict[str, Any]) -> None:
    sink, good = sink_on(pool), make_event(type="help")
    with pytest.raises(RowRefused):
        await sink.write([good, make_event(**fields)], deadline_soon())
    assert await total(pool) == 0
    assert await pool.fetchval("SELECT coalesce(sum(executions), 0) FROM student_states") == 0
    assert len((await sink.write([good], deadline_soon())).events) == 1


@pytest.mark.parametrize("table", ["students", "sessions", "notebooks", "cells"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {} CASCADE"])
async def test_what_events_named_is_not_deleted(
    pool: asyncpg.Pool, table: str, statement: str
) -> None:
    await sink_on(pool).write([make_event()], deadline_soon())
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await pool.execute(statement.format(table))
    assert await pool.fetchval(f"SELECT count(*) FROM {table}") == 1


async def test_students_and_notebooks_that_no_event_named_are_deleted(pool: asyncpg.Pool) -> None:
    await pool.execute("INSERT INTO students (user_id) VALUES ('x')")
    await pool.execute("INSERT INTO notebooks (path, name) VALUES ('x', 'x')")
    for table in ("students", "notebooks"):
        assert await pool.execute(f"DELETE FROM {table}") == "DELETE 1"


def schema_files() -> list[str]:
    return [word for path in sorted(SQL.glob("*.sql")) for word in ("-f", str(path))]


async def test_psql_applies_the_schema_to_an_empty_database_and_again(postgres: Address) -> None:
    for _ in range(2):
        await psql(postgres, *schema_files())


async def test_psql_applies_the_schema_to_one_in_use(pool: asyncpg.Pool, postgres: Address) -> None:
    sink = sink_on(pool)
    await sink.write([make_event()], deadline_soon())
    await psql(postgres, *schema_files())
    await sink.write([make_event()], deadline_soon())
    assert await total(pool) == 2


@pytest.mark.parametrize("kind", [*EXECUTED, *ACCESSED, *OTHERS])
async def test_each_type_of_event_has_one_row_at_home(pool: asyncpg.Pool, kind: str) -> None:
    home = HOMES[0] if kind in EXECUTED else HOMES[1] if kind in ACCESSED else HOMES[2]
    event = make_event(type=kind, metadata='{"room":7}', received_at=now() + timedelta(seconds=3))
    await sink_on(pool).write([event], deadline_soon())
    assert await counts(pool) == dict.fromkeys(HOMES, 0) | {home: 1}
    row = await pool.fetchrow(f"SELECT * FROM {home}")
    assert (row["event_id"], row["event_type"]) == (event.id, kind)
    assert row["received_at"] == event.received_at
    assert json.loads(row["metadata"])["room"] == 7
    assert row["student_id"] == await pool.fetchval("SELECT id FROM students")
    assert row["session_id"] == await pool.fetchval("SELECT id FROM sessions")
    assert row["alias_id"] == await pool.fetchval("SELECT id FROM notebook_aliases")
    assert row.get("status") == EXECUTED.get(kind)
    assert row.get("action") == ACCESSED.get(kind)


async def test_an_execution_that_failed_is_an_error(pool: asyncpg.Pool) -> None:
    stored = await sink_on(pool).write([make_event(failed=True, error="E: m")], deadline_soon())
    assert [state.errors for state in stored.states.values()] == [1]
    row = await pool.fetchrow("SELECT status, error FROM cell_executions")
    assert tuple(row) == ("error", "E: m")


async def test_future_event_keeps_time_of_first_receipt(
    pool: asyncpg.Pool,
) -> None:
    untimed = make_event(untimed=True)
    stored = await sink_on(pool).write([untimed], deadline_soon())
    ahead = make_event(id=untimed.id, time=now() + timedelta(hours=23))
    again_received = await sink_on(pool).write([ahead], deadline_soon())
    assert len(stored.events) == 1
    assert again_received.duplicates == [0]
    assert ahead.time == untimed.time


async def test_cut_off_session_soon_releases_its_locks(
    pool: asyncpg.Pool,
) -> None:
    async with pool.acquire() as connection:
        limit = await connection.fetchval("SHOW idle_in_transaction_session_timeout")
    assert limit == "30s"


async def test_a_commit_is_on_disk_whatever_the_databases_default(postgres: Address) -> None:
    admin = await asyncpg.connect(**postgres)
    await admin.execute(f"ALTER DATABASE {postgres['database']} SET synchronous_commit = off")
    await admin.close()
    pool = await open_pool(postgres, 1, 5.0)
    assert await pool.fetchval("SHOW synchronous_commit") == "on"
    await close_pool(pool, 5.0)
