"""Migration 8: events, names and notebooks of before get their class."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.support.postgres import Address, fetch, psql, temporary_database
from tests.support.schema import FILES, apply_by_psql, apply_by_server, restore

# `both` attends two classes, `former` one that is over too, `late` only that one.
SCHOOL = """
    INSERT INTO classes (class_code, name, is_active, updated_at) VALUES
        ('one', 'One', true, '2026-01-01'), ('two', 'Two', true, '2026-01-01'),
        ('over', 'Over', false, '2026-01-01'), ('unused', 'Unused', true, '2026-01-01');
    INSERT INTO students (user_id, name, team, has_events, name_at) VALUES
        ('one', '一', 'チーム1', true, '2026-05-01'), ('both', 'B', NULL, true, '2026-05-01'),
        ('former', NULL, NULL, true, 'epoch'), ('late', NULL, NULL, true, 'epoch'),
        ('pending', NULL, NULL, true, 'epoch'), ('nobody', 'N', NULL, true, '2026-05-01'),
        ('teacher', 'T', NULL, false, '2026-05-01');
    INSERT INTO student_classes (student_id, class_id, role) VALUES
        (1, 1, 'student'), (2, 1, 'student'), (2, 2, 'student'), (3, 1, 'student'),
        (3, 3, 'student'), (4, 3, 'student'), (5, 2, 'pending'), (7, 1, 'teacher');
    INSERT INTO notebooks (path, name, has_events) VALUES
        ('a.ipynb', 'a.ipynb', true), ('./b.ipynb', 'b.ipynb', false), ('b.ipynb', 'b.ipynb', true),
        ('RTC:x/c.ipynb', 'c.ipynb', false), ('own.ipynb', 'own.ipynb', true),
        ('shared.ipynb', 'shared.ipynb', true), ('RTC:RTC:d', 'RTC:RTC:d', false),
        ('RTC:d', 'RTC:d', false);
    INSERT INTO cells (notebook_id, cell_id, type, position) VALUES
        (1, 'c', 'code', 7), (3, 'c', 'code', 0), (5, 'c', 'code', 0), (6, 'c', 'code', 0);
    INSERT INTO class_assignments (class_id, notebook_id, title, updated_at) VALUES
        (1, 1, 'A', '2026-01-01'), (2, 2, 'B', '2026-01-01'), (1, 6, 'S', '2026-01-01'),
        (2, 6, 'S', '2026-01-01');
    SELECT ensure_partitions('2026-05-01', '2026-05-01');
"""
# An execution in each notebook that a student used: student, notebook, cell.
USES = [
    (1, 1, 1),
    (1, 3, 2),
    (1, None, None),
    (2, 1, 1),
    (2, 3, 2),
    (2, 6, 4),
    (2, None, None),
    (3, 1, 1),
    (3, 5, 3),
    (3, None, None),
    (4, 5, 3),
    (4, None, None),
    (5, 1, 1),
    (6, 1, 1),
    (7, 6, 4),
]
ADD_EXECUTION = """
    INSERT INTO cell_executions (
        student_id, executed_at, event_id, received_at, event_type, notebook_id, cell_id, cell_type,
        status, error, metadata
    ) VALUES ($1, $4::timestamptz, gen_random_uuid(), $5, 'cell_executed', $2, $3, $6, $7, $8, '{}')
"""
ADD_EVENT = """
    INSERT INTO events (student_id, event_time, event_id, received_at, event_type, metadata)
    VALUES ($1, $2::timestamptz, gen_random_uuid(), $3, $4, '{}')
"""


@pytest.fixture
async def earlier(postgres: Address) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database of schema 2, with a school."""
    await apply_by_psql(postgres, FILES[:2])
    await psql(postgres, "-c", SCHOOL)
    connection = await asyncpg.connect(**postgres)
    await connection.execute("SET timezone = 'UTC'")
    yield connection
    await connection.close()


async def execute(connection: asyncpg.Connection, *use: Any, **fields: Any) -> None:
    """An execution: student, notebook, cell."""
    usual = {
        "at": await connection.fetchval("SELECT '2026-05-02 10:00Z'::timestamptz"),
        "kind": "code",
        "status": "success",
        "error": None,
    } | fields
    received_at = fields.get("received_at", usual["at"])
    await connection.execute(
        ADD_EXECUTION,
        *use,
        usual["at"],
        received_at,
        usual["kind"],
        usual["status"],
        usual["error"],
    )


async def upgrade(postgres: Address) -> None:
    await apply_by_server(postgres)


async def test_each_row_gets_its_class(postgres: Address, earlier: asyncpg.Connection) -> None:
    for use in USES:
        await execute(earlier, *use)
    await upgrade(postgres)
    rows = await earlier.fetch(
        """SELECT s.user_id, a.path, e.class_id FROM cell_executions AS e
           JOIN students AS s ON s.id = e.student_id
           LEFT JOIN notebook_aliases AS a ON a.id = e.alias_id AND a.class_id = e.class_id"""
    )
    assert {tuple(row) for row in rows} == {
        ("one", "a.ipynb", 1),
        ("one", "b.ipynb", 1),
        ("one", None, 1),
        ("both", "a.ipynb", 1),  # who has handed it out
        ("both", "b.ipynb", 2),  # as ./b.ipynb
        ("both", "shared.ipynb", 0),  # which both have handed out
        ("both", None, 0),
        ("former", "a.ipynb", 1),
        ("former", "own.ipynb", 1),  # the only active one
        ("former", None, 1),
        ("late", "own.ipynb", 3),  # the only one, though it is over
        ("late", None, 3),
        ("pending", "a.ipynb", 2),
        ("nobody", "a.ipynb", 0),
        ("teacher", "shared.ipynb", 0),
    }
    classes = await earlier.fetch("SELECT id FROM classes WHERE has_events ORDER BY id")
    assert [row["id"] for row in classes] == [1, 2, 3]
    assert await earlier.fetchval("SELECT max(updated_at) FROM classes") == await earlier.fetchval(
        "SELECT '2026-01-01'::timestamptz"
    )
    assert not await earlier.fetchval("SELECT count(*) FROM student_classes WHERE role = 'pending'")


async def test_each_class_gets_its_notebooks(
    postgres: Address, earlier: asyncpg.Connection
) -> None:
    for use in USES:
        await execute(earlier, *use)
    await upgrade(postgres)
    kept = await earlier.fetch("SELECT id, class_id, path, name FROM notebooks WHERE id <= 8")
    assert {tuple(row) for row in kept} == {
        (1, 1, "a.ipynb", "a.ipynb"),  # who has handed it out
        (2, 2, "b.ipynb", "b.ipynb"),
        (4, 0, "x/c.ipynb", "c.ipynb"),  # which nobody uses
        (5, 1, "own.ipynb", "own.ipynb"),  # the lowest of its users
        (6, 1, "shared.ipynb", "shared.ipynb"),
        (7, 0, "RTC:d", "RTC:d"),
        (8, 0, "d", "d"),
        # 3, b.ipynb: of its users class 1 is the lowest
        (3, 1, "b.ipynb", "b.ipynb"),
    }
    new = await earlier.fetch("SELECT class_id, path FROM notebooks WHERE id > 8")
    assert {tuple(row) for row in new} == {
        (0, "a.ipynb"),
        (2, "a.ipynb"),
        (3, "own.ipynb"),
        (0, "shared.ipynb"),
        (2, "shared.ipynb"),
    }
    assigned = await earlier.fetch(
        """SELECT n.class_id, n.path, a.title, a.updated_at = '2026-01-01' AS untouched
           FROM class_assignments AS a JOIN notebooks AS n ON n.id = a.notebook_id
           WHERE n.class_id = a.class_id"""
    )
    assert {tuple(row) for row in assigned} == {
        (1, "a.ipynb", "A", True),
        (2, "b.ipynb", "B", True),
        (1, "shared.ipynb", "S", True),
        (2, "shared.ipynb", "S", True),
    }
    # One that nobody used can be deleted; one that events name can not.
    await earlier.execute("DELETE FROM notebooks WHERE id = 4")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await earlier.execute("DELETE FROM notebooks WHERE id = 5")


async def test_paths_that_are_one_in_order_become_one_notebook(
    postgres: Address, earlier: asyncpg.Connection
) -> None:
    await earlier.execute("UPDATE cells SET notebook_id = 2 WHERE id = 3")
    await execute(earlier, 5, 3, 2)
    await execute(earlier, 5, 2, 3, status="error")
    await upgrade(postgres)
    aliases = await earlier.fetch(
        "SELECT class_id, path, notebook_id FROM notebook_aliases WHERE path ~ 'b.ipynb' ORDER BY 2"
    )
    assert [tuple(row) for row in aliases] == [(2, "./b.ipynb", 2), (2, "b.ipynb", 2)]
    progress = await earlier.fetch(
        """SELECT a.path, c.cell_id, p.executions, p.errors FROM cell_progress AS p
           JOIN notebook_aliases AS a ON a.id = p.alias_id
           JOIN cells AS c ON c.id = p.cell_id AND c.alias_id = a.id ORDER BY 1"""
    )
    assert [tuple(row) for row in progress] == [("./b.ipynb", "c", 1, 1), ("b.ipynb", "c", 1, 0)]
    assert await earlier.fetchval("SELECT count(*) FROM notebooks WHERE path = 'b.ipynb'") == 1


async def test_each_class_gets_its_cells(postgres: Address, earlier: asyncpg.Connection) -> None:
    await execute(earlier, 1, 1, 1)
    await execute(earlier, 5, 1, 1)
    await execute(earlier, 6, 1, 1)
    await upgrade(postgres)
    cells = await earlier.fetch(
        """SELECT a.class_id, c.id = 1 AS keeps_id, c.cell_id, c.type, c.position, e.student_id
           FROM cell_executions AS e JOIN cells AS c ON c.id = e.cell_id
           JOIN notebook_aliases AS a ON a.id = c.alias_id AND a.id = e.alias_id
           ORDER BY student_id"""
    )
    assert [tuple(row) for row in cells] == [
        (1, True, "c", "code", 7, 1),
        (2, False, "c", "code", 7, 5),
        (0, False, "c", "code", 7, 6),
    ]
    await earlier.execute(
        "INSERT INTO notebook_aliases (class_id, path, notebook_id) VALUES (1, 'new', 1)"
    )
    await earlier.execute("INSERT INTO notebooks (class_id, path, name) VALUES (1, 'new', 'new')")


async def test_rendering_is_no_execution(postgres: Address, earlier: asyncpg.Connection) -> None:
    await execute(earlier, 1, 1, 1)
    await execute(earlier, 1, 3, 2, kind="markdown")
    await execute(earlier, 1, 3, 2, kind="raw", status="error", error="E")
    await upgrade(postgres)
    (state,) = await earlier.fetch("SELECT executions, errors FROM student_states")
    assert tuple(state) == (1, 0)
    rows = await earlier.fetch("SELECT status FROM cell_executions ORDER BY 1")
    assert [row["status"] for row in rows] == ["rendered", "rendered", "success"]


async def test_states_follow_times_put_right(
    postgres: Address, earlier: asyncpg.Connection
) -> None:
    times = await earlier.fetchrow(
        "SELECT '2026-05-02 10:00Z'::timestamptz AS early, '2026-05-02 11:00Z'::timestamptz AS late"
    )
    early, late = times["early"], times["late"]
    await execute(earlier, 1, 1, 1, at=early)
    await execute(earlier, 1, 3, 2, at=late, received_at=early, status="error", error="E")
    await earlier.execute(ADD_EVENT, 1, late, late, "help")
    await earlier.execute(ADD_EVENT, 1, late, early, "help_stop")
    await upgrade(postgres)
    (state,) = await earlier.fetch("SELECT * FROM student_states")
    assert (state["executions"], state["errors"]) == (2, 1)
    assert (state["last_success_at"], state["last_received_at"]) == (early, late)
    assert state["error_times"] == []  # not after the success
    assert (state["help_at"], state["help_stop_at"]) == (late, early)
    path = "SELECT path FROM notebook_aliases WHERE id = $1"
    assert await earlier.fetchval(path, state["alias_id"]) == "b.ipynb"  # the later claim


async def test_names_stay_in_the_classes_of_the_student(
    postgres: Address, earlier: asyncpg.Connection
) -> None:
    await execute(earlier, 1, 1, 1)
    await execute(earlier, 6, 1, 1)
    await upgrade(postgres)
    lines = await earlier.fetch(
        "SELECT student_id, class_id, name, team FROM student_classes WHERE name IS NOT NULL"
    )
    assert {tuple(row) for row in lines} == {
        (1, 1, "一", "チーム1"),
        (2, 1, "B", None),
        (2, 2, "B", None),
        (7, 1, "T", None),
    }
    claims = await earlier.fetch(
        "SELECT student_id, class_id, name, team, name_at FROM student_states"
    )
    claimed_at = await earlier.fetchval("SELECT '2026-05-01'::timestamptz")
    assert {tuple(row) for row in claims} == {
        (1, 1, "一", "チーム1", claimed_at),
        (6, 0, "N", None, claimed_at),
    }
    records = await earlier.fetch("SELECT user_id, name FROM students WHERE name IS NOT NULL")
    assert [tuple(row) for row in records] == [("teacher", "T")]


async def test_requests_for_help_get_the_class_of_the_call(
    postgres: Address, earlier: asyncpg.Connection
) -> None:
    at = [
        await earlier.fetchval("SELECT '2026-05-02'::timestamptz + $1 * interval '1 hour'", hour)
        for hour in range(4)
    ]
    await earlier.execute(ADD_EVENT, 1, at[1], at[0], "help_stop")
    await earlier.execute(ADD_EVENT, 1, at[2], at[2], "help")
    await earlier.execute(ADD_EVENT, 6, at[2], at[2], "help")
    await earlier.execute(
        """INSERT INTO help_requests (student_id, after_stop, taken_by, resolved_by)
           VALUES (1, $1, 'T', NULL), (6, '-infinity', NULL, 'T'), (4, '-infinity', 'T', NULL)""",
        at[1],
    )
    await upgrade(postgres)
    requests = await earlier.fetch(
        """SELECT student_id, class_id, taken_by, resolved_by,
               h.began_at = COALESCE(s.help_stop_at, '-infinity') AS is_current
           FROM help_requests AS h LEFT JOIN student_states AS s USING (student_id, class_id)"""
    )
    assert {tuple(row) for row in requests} == {
        (1, 1, "T", None, True),
        (6, 0, None, "T", True),
        (4, 3, "T", None, True),
    }


async def test_batches_that_were_not_counted_are(
    postgres: Address, earlier: asyncpg.Connection
) -> None:
    await execute(earlier, 1, 1, 1)
    await earlier.execute(
        """INSERT INTO outbox_counts (batch, received_at, student_ids, first_times, last_times)
           SELECT batch, received_at, ARRAY[1], ARRAY[executed_at], ARRAY[executed_at]
           FROM cell_executions"""
    )
    await upgrade(postgres)
    assert await earlier.fetchval("SELECT sum(executions) FROM cell_progress") == 1
    assert await earlier.fetchval("SELECT count_batches(10)") is False
    assert await earlier.fetchval("SELECT sum(executions) FROM cell_progress") == 1


async def test_readers_do_not_wait(postgres: Address) -> None:
    await restore(postgres)
    await apply_by_psql(postgres, FILES[:7])
    tables = await fetch(
        postgres, "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 2200"
    )
    blocker = await asyncpg.connect(**postgres)
    async with blocker.transaction():
        await blocker.execute("SELECT FROM ingest_keys FOR UPDATE")  # updated last
        migration = asyncio.create_task(apply_by_server(postgres))
        waiting = (
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ '^UPDATE'"
        )
        while not await fetch(postgres, waiting):
            assert not migration.done()
        for table in tables:
            await fetch(postgres, f"SELECT FROM {table['relname']} LIMIT 1")
        assert not migration.done()
    await migration
    await blocker.close()
    (row,) = await fetch(postgres, "SELECT count(*) AS keys FROM ingest_keys WHERE has_events")
    assert row["keys"] > 0


async def test_a_database_without_classes_keeps_its_rows(
    postgres_server: Address, postgres: Address
) -> None:
    await restore(postgres)
    await fetch(postgres, "DELETE FROM assignment_submissions")
    await fetch(postgres, "DELETE FROM class_assignments")
    await fetch(postgres, "DELETE FROM classes")
    before = await fetch(postgres, "SELECT id, path FROM notebooks ORDER BY id")
    rows = "SELECT event_id, cell_id, xmin::text FROM events ORDER BY event_id"
    unchanged = await fetch(postgres, rows)
    await apply_by_server(postgres)
    assert await fetch(postgres, "SELECT id, path FROM notebooks ORDER BY id") == before
    assert await fetch(postgres, rows) == unchanged
    assert await fetch(postgres, "SELECT DISTINCT class_id FROM student_states") == [
        {"class_id": 0}
    ]
    async with temporary_database(postgres_server) as other:
        await apply_by_server(other)  # an empty one
        assert await fetch(other, "SELECT FROM notebook_aliases") == []
