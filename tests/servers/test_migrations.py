"""The schema: by the server or by psql, from nothing or from commit 7cae75c, it is the same."""

import asyncio
import gzip
import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from monitor.database import migrations
from monitor.database.migrations import Schema, SchemaBehind, SchemaError, migrate
from monitor.database.partitions import month_of
from monitor.database.pool import close_pool, open_pool
from monitor.database.psql import steps
from monitor.errors import Unavailable
from tests.support.factories import now
from tests.support.paths import ROOT
from tests.support.postgres import (
    Address,
    environment_of,
    fetch,
    psql,
    run_client,
    temporary_database,
)
from tests.support.replicas import Replica
from tests.support.waiting import eventually

# A database filled by the server of commit 7cae75c: a class that worked, failed and called for
# help, keys, grades, dead letters, and rows still pending in each outbox. It is a dump by
# PostgreSQL 15 (pg_dump --no-owner --no-privileges), which 15 and later restore. The answers, by
# path, are those of the same server on the restored dump.
RELEASED = Path(__file__).parent / "upgrade" / "7cae75c.sql.gz"
ANSWERS = Path(__file__).parent / "upgrade" / "7cae75c.json.gz"

FILES = sorted(migrations.SQL.glob("*.sql"))
PARTITIONS = "*_2[0-9][0-9][0-9]_[01][0-9]"  # which months exist depends on the day
LOGGED_QUERY = re.compile(r"(?s)\*+ QUERY \*+/?\n(.*?)\n/?\*{20,}")

each_origin = pytest.mark.parametrize("released", [False, True], ids=["empty", "7cae75c"])


async def restore(address: Address) -> None:
    await psql(address, stdin=gzip.decompress(RELEASED.read_bytes()))


async def apply_by_psql(address: Address, files: Sequence[Path] = FILES) -> None:
    for path in files:
        await psql(address, "-f", str(path))


async def apply_by_server(address: Address) -> None:
    connection = await asyncpg.connect(**address)
    try:
        await migrate(connection)
    finally:
        await connection.close()


async def schema_of(address: Address, *without: str) -> str:
    excluded = [word for table in (PARTITIONS, *without) for word in ("-T", table)]
    dump = await run_client("pg_dump", address, "--schema-only", *excluded)
    # How PostgreSQL 18 names these depends on the version that made the dump.
    lines = re.sub(r"CONSTRAINT \w+_not_null NOT NULL", "NOT NULL", dump.decode()).splitlines()
    return "\n".join(line for line in lines if not re.match(r"--|\\(un)?restrict ", line))


async def applied(address: Address) -> list[int]:
    query = "SELECT number FROM schema_migrations ORDER BY number"
    return [row["number"] for row in await fetch(address, query)]


@asynccontextmanager
async def pool_on(address: Address) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(address, 2, 15.0)
    yield pool
    await close_pool(pool, 5.0)


def migrate_by_command(postgres: Address, tmp_path: Path, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "migrate", *options],
        env=environment_of(postgres, tmp_path / "command"),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("apply", [apply_by_psql, apply_by_server])
@each_origin
async def test_every_way_ends_in_the_same_schema(
    postgres_server: Address, postgres: Address, released: bool, apply: Any
) -> None:
    await apply_by_psql(postgres)
    async with temporary_database(postgres_server) as other:
        if released:
            await restore(other)
        await apply(other)
        assert await schema_of(other) == await schema_of(postgres)
        assert await applied(other) == [1, 2]


async def test_the_first_migration_is_the_schema_of_7cae75c(
    postgres_server: Address, postgres: Address
) -> None:
    await restore(postgres)
    async with temporary_database(postgres_server) as other:
        await apply_by_psql(other, FILES[:1])
        expected = await schema_of(postgres, "applied_sql")
        assert await schema_of(other, "schema_migrations") == expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
async def test_the_server_splits_a_file_as_psql_does(
    postgres: Address, tmp_path: Path, path: Path
) -> None:
    log = tmp_path / "psql.log"
    await apply_by_psql(postgres, FILES[: FILES.index(path)])
    await psql(postgres, "-L", str(log), "-f", str(path))
    executed = [_words(query) for query in LOGGED_QUERY.findall(log.read_text())]
    assert executed == _statements(path)


def _statements(path: Path) -> list[list[str]]:
    return [
        _words(step.text) for step in steps(path.read_text()) if step.command in ("run", "gset")
    ]


def _words(statement: str) -> list[str]:
    return re.sub(r"--[^\n]*", "", statement).rstrip("; \n").split()


@each_origin
async def test_psql_may_apply_the_files_again(postgres: Address, released: bool) -> None:
    if released:
        await restore(postgres)
    await apply_by_psql(postgres)
    schema, rows = await schema_of(postgres), await fetch(postgres, "TABLE schema_migrations")
    await apply_by_psql(postgres)
    assert await schema_of(postgres) == schema
    assert await fetch(postgres, "TABLE schema_migrations") == rows


async def test_a_file_that_psql_applied_is_not_applied_by_the_server(postgres: Address) -> None:
    await apply_by_psql(postgres)
    await fetch(postgres, "DROP VIEW student_activity_counts")
    await apply_by_server(postgres)
    assert not (await fetch(postgres, "SELECT to_regclass('student_activity_counts')"))[0][
        "to_regclass"
    ]


async def test_no_number_can_be_left_out(postgres: Address) -> None:
    await apply_by_psql(postgres, FILES[:1])
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await fetch(postgres, "INSERT INTO schema_migrations (number, name) VALUES (3, 'third')")


async def test_every_read_answers_as_before_the_upgrade(postgres: Address, tmp_path: Path) -> None:
    await restore(postgres)
    kept = {"REJECTED_MAX_DAYS": "1000000"}  # however old the dump is
    with Replica(environment_of(postgres, tmp_path / "data") | kept) as replica:
        async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1/", timeout=15) as client:
            expected: dict[str, str] = json.loads(gzip.decompress(ANSWERS.read_bytes()))
            for path, before in expected.items():
                response = await client.get(path)
                answer = response.text if response.is_success else f"404 {response.text}"
                assert answer == before, path
    assert await fetch(postgres, "SELECT count(*) FROM outbox_points") == [{"count": 44}]
    assert await fetch(postgres, "SELECT count(*) FROM outbox_handlers") == [{"count": 1}]
    assert await fetch(postgres, "SELECT count(*) FROM outbox_counts") == [{"count": 0}]


async def test_unpacked_counters_are_those_of_the_events(postgres: Address) -> None:
    await restore(postgres)
    await apply_by_server(postgres)
    await fetch(postgres, "SELECT count_batches(100)")
    counted = await fetch(
        postgres,
        """SELECT student_id, at, executions, errors FROM student_activity_counts
           WHERE step = 60 AND executions > 0 ORDER BY student_id, at""",
    )
    stored = await fetch(
        postgres,
        """SELECT student_id, date_trunc('minute', executed_at) AS at, count(*) AS executions,
               count(*) FILTER (WHERE status = 'error') AS errors
           FROM cell_executions GROUP BY 1, 2 ORDER BY 1, 2""",
    )
    assert len(stored) > 100
    assert counted == stored


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


async def test_a_migration_that_fails_changes_nothing_and_says_why(
    postgres: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in FILES:
        shutil.copy(path, tmp_path)
    broken = """BEGIN;
        SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 3) AS wanted \\gset
\\if :wanted
        CREATE TABLE third (name text);  -- a comment; with a semicolon
        ALTER TABLE nobody ADD COLUMN name text;
        INSERT INTO schema_migrations (number, name) VALUES (3, 'broken');
\\endif
        COMMIT;
    """
    (tmp_path / "0003_broken.sql").write_text(broken)
    monkeypatch.setattr(migrations, "SQL", tmp_path)
    async with pool_on(postgres) as pool:
        schema = Schema(pool)
        said = r'0003_broken.sql .* Line 5, `ALTER TABLE .*relation "nobody" does not exist'
        for _ in range(2):  # the second time without trying
            with pytest.raises(SchemaError, match=said):
                await schema.ensure()
        assert await applied(postgres) == [1, 2]
        assert not await pool.fetchval("SELECT to_regclass('third')")
        async with pool.acquire() as connection:
            assert not connection.is_in_transaction()


async def test_a_newer_schema_is_refused_at_the_start(postgres: Address, tmp_path: Path) -> None:
    await apply_by_server(postgres)
    await fetch(postgres, "INSERT INTO schema_migrations (number, name) VALUES (3, 'third')")
    replica = Replica(environment_of(postgres, tmp_path / "data"))
    with pytest.raises(AssertionError, match="server knows is 0002_outboxes"):
        replica.start()
    replica.log.close()


async def test_a_server_that_finds_a_newer_schema_spools(
    postgres: Address, replica: Replica
) -> None:
    await fetch(postgres, "INSERT INTO schema_migrations (number, name) VALUES (3, 'third')")
    await fetch(postgres, "ALTER TABLE outbox_counts RENAME TO renamed_by_third")
    async with httpx.AsyncClient(timeout=15) as client:
        body = [{"eventType": "help", "userId": "hanako"}]
        assert (await client.post(replica.events_url, json=body)).json()["spooled"] == 1

        async def error() -> str:
            health = (await client.get(f"{replica.url}/health")).json()
            return str(health["postgres"]["error"])

        await eventually(error, lambda text: "the latest that this server knows" in text)
        await fetch(postgres, "ALTER TABLE renamed_by_third RENAME TO outbox_counts")
        await fetch(postgres, "DELETE FROM schema_migrations WHERE number = 3")
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
    assert await applied(postgres) == [1, 2]


async def test_servers_that_start_at_once_take_turns(postgres: Address) -> None:
    async def start() -> None:
        async with pool_on(postgres) as pool:
            await Schema(pool).ensure()

    await asyncio.gather(*(start() for _ in range(4)))
    assert await applied(postgres) == [1, 2]


async def test_a_process_migrates_only_at_its_first_connection(postgres: Address) -> None:
    async with pool_on(postgres) as pool:
        schema = Schema(pool)
        await schema.ensure()
        await pool.execute("DELETE FROM schema_migrations WHERE number = 2")
        with pytest.raises(
            SchemaBehind, match=r"lacks 0002_outboxes.sql .* run `cell-monitor migrate`"
        ):
            await schema.ensure()
    assert await applied(postgres) == [1]


@asynccontextmanager
async def role_of(postgres: Address) -> AsyncIterator[Address]:
    """A user who may read and write all tables, and change none."""
    name = f"writer_{postgres['database']}"
    await psql(
        postgres,
        "-c",
        f"""CREATE ROLE {name} LOGIN PASSWORD 'secret';
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name};
        ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {name}""",
    )
    yield {**postgres, "user": name, "password": "secret"}
    await psql(postgres, "-c", f"DROP OWNED BY {name}; DROP ROLE {name}")


async def test_a_user_without_rights_serves_while_nothing_is_missing(
    postgres: Address, tmp_path: Path
) -> None:
    await apply_by_server(postgres)
    second_month = month_of(month_of(now()) + timedelta(days=62))
    await fetch(postgres, f"DROP TABLE events_{second_month:%Y_%m}")
    async with role_of(postgres) as writer, httpx.AsyncClient(timeout=15) as client:
        with Replica(environment_of(writer, tmp_path / "data")) as replica:
            body = [{"eventType": "cell_executed", "userId": "hanako"}]
            assert (await client.post(replica.events_url, json=body)).json()["stored"] == 1
            health = (await client.get(f"{replica.url}/health")).json()
            assert health["status"] == "ok"
            assert "1 more months only: run `cell-monitor migrate`" in health["postgres"]["warning"]
            body = [{"eventType": "help", "userId": "hanako"}]
            assert (await client.post(replica.events_url, json=body)).json()["stored"] == 1
            assert (await client.get(f"{replica.url}/api/v1/students")).json()[0]["id"] == 1


async def test_a_user_without_rights_spools_until_the_owner_has_migrated(
    postgres: Address, tmp_path: Path
) -> None:
    await restore(postgres)
    async with role_of(postgres) as writer, httpx.AsyncClient(timeout=15) as client:
        with Replica(environment_of(writer, tmp_path / "data")) as replica:
            body = [{"eventType": "survey", "userId": "nobody else"}]
            assert (await client.post(replica.events_url, json=body)).json()["spooled"] == 1
            health = (await client.get(f"{replica.url}/health")).json()
            advice = f"`run.py migrate`) with POSTGRES_USER={postgres['user']}"
            assert advice in health["postgres"]["error"]
            assert 1 <= replica.output().count(advice) <= 2  # not at each attempt
            await asyncio.to_thread(migrate_by_command, postgres, tmp_path)
            query = "SELECT count(*) FROM students WHERE user_id = 'nobody else'"
            await eventually(lambda: fetch(postgres, query), lambda rows: rows == [{"count": 1}])


async def test_the_command_says_what_it_would_do_and_does_it(
    postgres: Address, tmp_path: Path
) -> None:
    said = await asyncio.to_thread(migrate_by_command, postgres, tmp_path, "--dry-run")
    assert (
        await fetch(
            postgres, "SELECT FROM pg_class WHERE relnamespace::regnamespace::text = 'public'"
        )
        == []
    )
    assert said.startswith("Would apply 0001_first_version.sql\nWould apply 0002_outboxes.sql\n")
    assert said.endswith("Nothing was changed\n")
    done = await asyncio.to_thread(migrate_by_command, postgres, tmp_path)
    assert done.endswith("The schema is up to date\n")
    assert await applied(postgres) == [1, 2]
    partitions = re.findall(r"Would create partition (\w+)", said)
    assert partitions == re.findall(r"Creating partition (\w+)", done)
    assert len(partitions) >= 3 * (12 + 1 + 12)
    for partition in partitions:
        (row,) = await fetch(
            postgres, "SELECT relispartition FROM pg_class WHERE relname = $1", partition
        )
        assert row["relispartition"]
    again = await asyncio.to_thread(migrate_by_command, postgres, tmp_path)
    assert again == "The schema is up to date\n"
