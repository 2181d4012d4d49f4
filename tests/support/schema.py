"""The schema in tests: applied by the server or psql, dumped, or restored from a release."""

import gzip
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from monitor.database.migrations import SQL, migrate
from monitor.database.pool import close_pool, open_pool
from tests.support.paths import ROOT
from tests.support.postgres import (
    Address,
    environment_of,
    fetch,
    psql,
    run_client,
)

# A database filled by the server of commit 7cae75c: a class that worked, failed and called for
# help, keys, grades, dead letters, and rows still pending in each outbox. It is a dump by
# PostgreSQL 15 (pg_dump --no-owner --no-privileges), which 15 and later restore. The answers, by
# path, are those of the same server on the restored dump.
RELEASED = ROOT / "tests" / "servers" / "upgrade" / "7cae75c.sql.gz"
ANSWERS = ROOT / "tests" / "servers" / "upgrade" / "7cae75c.json.gz"

OPERATIONS = ROOT / "docs" / "operations.md"

FILES = sorted(SQL.glob("*.sql"))
PARTITIONS = "*_2[0-9][0-9][0-9]_[01][0-9]"  # which months exist depends on the day


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


async def tables(address: Address) -> list[str]:
    query = "SELECT relname FROM pg_class WHERE relnamespace::regnamespace::text = 'public'"
    return [row["relname"] for row in await fetch(address, query)]


async def applied(address: Address) -> list[int]:
    query = "SELECT number FROM schema_migrations ORDER BY number"
    return [row["number"] for row in await fetch(address, query)]


@asynccontextmanager
async def pool_on(address: Address) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(address, 2, 15.0)
    yield pool
    await close_pool(pool, 5.0)


def run_migrate(
    postgres: Address, tmp_path: Path, *options: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "migrate", *options],
        env=environment_of(postgres, tmp_path / "command"),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def migrate_by_command(postgres: Address, tmp_path: Path, *options: str) -> str:
    """The command's output. Fails with its errors."""
    done = run_migrate(postgres, tmp_path, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@asynccontextmanager
async def role_of(postgres: Address) -> AsyncIterator[Address]:
    """A user with the rights that the documentation lists, and no others."""
    name, database = f"writer_{postgres['database']}", postgres["database"]
    (grants,) = re.findall(r"```sql\n(GRANT .*?)```", OPERATIONS.read_text("utf-8"), re.DOTALL)
    grants = grants.replace("TO monitor", f"TO {name}").replace("classroom", database)
    await psql(
        postgres,
        "-c",
        f"""CREATE ROLE {name} LOGIN PASSWORD 'secret';
        REVOKE ALL ON DATABASE {database} FROM PUBLIC;
        REVOKE ALL ON SCHEMA public FROM PUBLIC;
        {grants}""",
    )
    yield {**postgres, "user": name, "password": "secret"}
    await psql(postgres, "-c", f"DROP OWNED BY {name}; DROP ROLE {name}")
