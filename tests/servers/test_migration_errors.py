"""Migrations that can't be applied now, or never: nothing changes, and the error helps."""

import asyncio
import shutil
from pathlib import Path

import asyncpg
import httpx
import pytest

from monitor.database import migrations
from monitor.database.migrations import Schema, SchemaBehind, SchemaError
from monitor.errors import Unavailable
from tests.support.postgres import (
    Address,
    environment_of,
    fetch,
)
from tests.support.replicas import Replica
from tests.support.schema import (
    FILES,
    applied,
    apply_by_psql,
    apply_by_server,
    pool_on,
    restore,
    role_of,
    schema_of,
)
from tests.support.waiting import eventually

ALL = [int(path.name[:4]) for path in FILES]
ADD_LATER = f"INSERT INTO schema_migrations (number, name) VALUES ({ALL[-1] + 1}, 'later')"
REMOVE_LATER = f"DELETE FROM schema_migrations WHERE number = {ALL[-1] + 1}"


async def postgres_error(client: httpx.AsyncClient, replica: Replica) -> str:
    health = (await client.get(f"{replica.url}/health")).json()
    return str(health["postgres"]["error"])


async def test_no_number_can_be_left_out(postgres: Address) -> None:
    await apply_by_psql(postgres, FILES[:1])
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await fetch(postgres, "INSERT INTO schema_migrations (number, name) VALUES (3, 'other')")


async def test_a_server_without_migrations_is_refused(postgres: Address) -> None:
    await apply_by_server(postgres)
    connection = await asyncpg.connect(**postgres)
    # What a server of 7cae75c does at its start.
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS applied_sql (file text PRIMARY KEY, sha256 text NOT NULL)"
    )
    with pytest.raises(asyncpg.RaiseError, match="too old"):
        await connection.fetch("SELECT file, sha256 FROM applied_sql")
    await connection.close()


async def test_a_database_of_another_commit_is_left_alone(postgres: Address) -> None:
    await restore(postgres)
    await fetch(postgres, "UPDATE applied_sql SET sha256 = 'other' WHERE file LIKE '005%'")
    before = await schema_of(postgres)
    with pytest.raises(SchemaError, match="commit 7cae75c on it once"):
        await apply_by_server(postgres)
    assert await schema_of(postgres) == before


async def test_tables_of_another_program_are_left_alone(postgres: Address) -> None:
    await fetch(postgres, "CREATE TABLE students (name text)")
    with pytest.raises(SchemaError, match="Use an empty database"):
        await apply_by_server(postgres)
    assert await fetch(postgres, "SELECT to_regclass('schema_migrations') AS it") == [{"it": None}]


async def test_an_unfinished_installation_is_left_alone(postgres: Address) -> None:
    await restore(postgres)
    await fetch(postgres, "DROP TABLE applied_sql")  # as after psql
    await fetch(postgres, "DROP FUNCTION cluster_executions")
    with pytest.raises(SchemaError, match="unfinished installation"):
        await apply_by_server(postgres)


async def test_a_user_who_may_only_create_tables_leaves_nothing_behind(postgres: Address) -> None:
    await restore(postgres)
    async with role_of(postgres) as writer:
        await fetch(postgres, f"GRANT CREATE ON SCHEMA public TO {writer['user']}")
        with pytest.raises(SchemaBehind, match=r"lacks 0001_first_version.sql, 0002_outboxes.sql"):
            await apply_by_server(writer)
        assert await fetch(postgres, "SELECT to_regclass('schema_migrations') AS it") == [
            {"it": None}
        ]
        await apply_by_server(postgres)


async def test_a_read_only_database_is_waited_for(postgres: Address) -> None:
    database = postgres["database"]
    await fetch(postgres, f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    with pytest.raises(Unavailable, match="POSTGRES_SERVER to the primary"):
        await apply_by_server(postgres)


async def test_another_programs_migrations_are_left_alone(postgres: Address) -> None:
    await fetch(postgres, "CREATE TABLE schema_migrations (version text)")
    with pytest.raises(SchemaError, match=r"another program's: use .* \(POSTGRES_DB\)"):
        await apply_by_server(postgres)


async def test_a_migration_that_fails_changes_nothing_and_says_why(
    postgres: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in FILES:
        shutil.copy(path, tmp_path)
    number = ALL[-1] + 1
    broken = f"""BEGIN;
        SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = {number}) AS wanted \\gset
\\if :wanted
        CREATE TABLE later (name text);  -- a comment; with a semicolon
        ALTER TABLE nobody ADD COLUMN name text;
        INSERT INTO schema_migrations (number, name) VALUES ({number}, 'broken');
\\endif
        COMMIT;
    """
    (tmp_path / f"{number:04}_broken.sql").write_text(broken)
    monkeypatch.setattr(migrations, "SQL", tmp_path)
    async with pool_on(postgres) as pool:
        schema = Schema(pool)
        said = rf'{number:04}_broken.sql .* Line 5, `ALTER TABLE .*relation "nobody" does not exist'
        for _ in range(2):  # the second time without trying
            with pytest.raises(SchemaError, match=said):
                await schema.ensure()
        assert await applied(postgres) == ALL
        assert not await pool.fetchval("SELECT to_regclass('later')")
        async with pool.acquire() as connection:
            assert not connection.is_in_transaction()


async def test_a_newer_schema_is_refused_at_the_start(postgres: Address, tmp_path: Path) -> None:
    await apply_by_server(postgres)
    await fetch(postgres, ADD_LATER)
    replica = Replica(environment_of(postgres, tmp_path / "data"))
    with pytest.raises(AssertionError, match=f"server knows is {FILES[-1].stem}"):
        replica.start()
    replica.log.close()


async def test_a_server_started_without_postgresql_spools_on_a_newer_schema(
    postgres_server: Address, postgres: Address, tmp_path: Path
) -> None:
    await apply_by_server(postgres)
    await fetch(postgres, ADD_LATER)
    name = postgres["database"]
    later = postgres | {"database": f"{name}_later"}
    (tmp_path / "postgres-was-reached").touch()  # so that it starts without
    with Replica(environment_of(later, tmp_path)) as replica:
        await fetch(postgres_server, f"ALTER DATABASE {name} RENAME TO {name}_later")
        async with httpx.AsyncClient(timeout=15) as client:
            await eventually(
                lambda: postgres_error(client, replica),
                lambda text: "the latest that this server knows" in text,
            )
            body = [{"eventType": "help", "userId": "hanako"}]
            assert (await client.post(replica.events_url, json=body)).json()["spooled"] == 1
        await fetch(later, REMOVE_LATER)
        count = "SELECT count(*) FROM events"
        await eventually(lambda: fetch(later, count), lambda rows: rows == [{"count": 1}])
    await fetch(postgres_server, f"ALTER DATABASE {name}_later RENAME TO {name}")


async def test_a_server_that_finds_a_newer_schema_spools(
    postgres: Address, replica: Replica
) -> None:
    await fetch(postgres, ADD_LATER)
    await fetch(postgres, "ALTER TABLE outbox_counts RENAME TO renamed_by_later")
    async with httpx.AsyncClient(timeout=15) as client:
        body = [{"eventType": "help", "userId": "hanako"}]
        assert (await client.post(replica.events_url, json=body)).json()["spooled"] == 1
        await eventually(
            lambda: postgres_error(client, replica),
            lambda text: "the latest that this server knows" in text,
        )
        await fetch(postgres, "ALTER TABLE renamed_by_later RENAME TO outbox_counts")
        await fetch(postgres, REMOVE_LATER)
        count = "SELECT count(*) FROM events"
        await eventually(lambda: fetch(postgres, count), lambda rows: rows == [{"count": 1}])


async def test_a_lock_is_waited_for_with_a_bound(postgres: Address) -> None:
    other = await asyncpg.connect(**postgres, server_settings={"application_name": "other"})
    await other.execute("SELECT pg_advisory_lock(1667591276)")
    pid = await other.fetchval("SELECT pg_backend_pid()")
    async with pool_on(postgres) as pool:
        schema = Schema(pool)
        async with asyncio.timeout(15):
            with pytest.raises(Unavailable, match=rf"\(other, process {pid}\).*terminate_backend"):
                await schema.ensure()
        await other.close()
        await schema.ensure()
    assert await applied(postgres) == ALL


async def test_a_table_in_use_is_waited_for_with_a_bound(postgres: Address) -> None:
    await restore(postgres)
    other = await asyncpg.connect(**postgres)
    async with pool_on(postgres) as pool:
        async with other.transaction():
            await other.execute("SELECT FROM outbox LIMIT 1")
            async with asyncio.timeout(15):
                with pytest.raises(Unavailable, match=r"0002_outboxes.* pg_stat_activity"):
                    await Schema(pool).ensure()
        assert await applied(postgres) == [1]
        await Schema(pool).ensure()
    await other.close()
    assert await applied(postgres) == ALL


async def test_servers_that_start_at_once_take_turns(postgres: Address) -> None:
    async def start() -> None:
        async with pool_on(postgres) as pool:
            await Schema(pool).ensure()

    await asyncio.gather(*(start() for _ in range(4)))
    assert await applied(postgres) == ALL


async def test_a_process_migrates_only_at_its_first_connection(postgres: Address) -> None:
    async with pool_on(postgres) as pool:
        schema = Schema(pool)
        await schema.ensure()
        await pool.execute(f"DELETE FROM schema_migrations WHERE number = {ALL[-1]}")
        with pytest.raises(
            SchemaBehind, match=rf"lacks {FILES[-1].name} .* run `cell-monitor migrate`"
        ):
            await schema.ensure()
    assert await applied(postgres) == ALL[:-1]


async def test_autovacuum_gives_way(postgres: Address) -> None:
    """It does so after a second only, where readers are waited for in shorter tries."""
    await apply_by_psql(postgres, FILES[:22])
    connection = await asyncpg.connect(**postgres)
    await connection.execute(
        """
        INSERT INTO students (user_id) SELECT 's' || i FROM generate_series(1, 20000) AS i;
        INSERT INTO classes (name, class_code) VALUES ('Lesson', 'lesson');
        INSERT INTO student_classes (student_id, class_id, role)
        SELECT id, 1, 'student' FROM students;
        ALTER TABLE student_classes SET (
            autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1,
            autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1
        );
        UPDATE student_classes SET joined_at = now();
        """
    )
    await connection.close()
    await fetch(postgres, "ALTER SYSTEM SET autovacuum_naptime = 1")
    try:
        await fetch(postgres, "SELECT pg_reload_conf()")
        running = "SELECT query FROM pg_stat_activity WHERE query ~ '^autovacuum.*student_classes'"
        await eventually(lambda: fetch(postgres, running), within=60)
        await apply_by_server(postgres)
    finally:
        await fetch(postgres, "ALTER SYSTEM RESET autovacuum_naptime")
        await fetch(postgres, "SELECT pg_reload_conf()")
