"""Only databases in UTF-8 are used: in others a text is refused, and a neighbour's with it."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from monitor.database.pool import Database
from monitor.database.reads import Reads
from tests.support.postgres import Address, environment_of
from tests.support.replicas import RUN, Replica
from tests.support.schema import tables
from tests.support.waiting import eventually
from tests.support.wire import item

ENCODINGS = ("SQL_ASCII", "EUC_JP", "LATIN1")
COMMANDS: dict[str, tuple[str, ...]] = {
    "serve": (),
    "serve a class": ("serve", "--class", "算数"),
    "migrate": ("migrate",),
    "dry run": ("migrate", "--dry-run"),
    "keys": ("keys", "list"),
    "recount": ("recount",),
    "rebuild": ("rebuild-influxdb",),
}


@pytest.fixture(params=ENCODINGS)
async def other(request: pytest.FixtureRequest, postgres: Address) -> AsyncIterator[Address]:
    """An empty database in another encoding."""
    name = f"{postgres['database']}_{request.param.lower()}"
    admin = await asyncpg.connect(**postgres)
    create = f"CREATE DATABASE {name} ENCODING '{request.param}' LOCALE_PROVIDER libc LOCALE 'C'"
    await admin.execute(f"{create} TEMPLATE template0")
    try:
        yield postgres | {"database": name}
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


async def run(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    replica = Replica(environment | {"INFLUXDB_URL": "http://127.0.0.1:1"})
    replica.log.close()
    return await asyncio.to_thread(
        subprocess.run,
        [*RUN, *arguments],
        env=replica.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


async def test_each_command_says_in_one_line_how_to_make_another(
    other: Address, tmp_path: Path
) -> None:
    environment = environment_of(other, tmp_path)
    for arguments in COMMANDS.values():
        done = await run(environment, *arguments)
        assert (done.returncode, done.stdout) == (1, ""), arguments
        (line,) = done.stderr.splitlines()
        assert "The database's encoding is" in line, arguments
        assert "name it in DATABASE_URL or POSTGRES_DB" in line
    assert await tables(other) == []


async def test_the_statement_makes_a_database_that_is_used(
    other: Address, postgres: Address, tmp_path: Path
) -> None:
    said = (await run(environment_of(other, tmp_path), "migrate")).stderr
    (statement,) = re.findall(r"CREATE DATABASE [^;]*", said)
    name = f"{postgres['database']}_made"
    connection = await asyncpg.connect(**other)
    await connection.execute(statement.replace("cell_monitor", name))
    await connection.close()
    made = postgres | {"database": name}
    try:
        with Replica(environment_of(made, tmp_path)) as replica:
            event = item(
                eventType="cell_error", code="😀 é 丐", errorMessage="名前「x」はありません"
            )
            answer = await asyncio.to_thread(httpx.post, replica.events_url, json=[event])
            assert answer.json()["stored"] == 1
    finally:
        admin = await asyncpg.connect(**postgres)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


async def test_no_standby_in_another_encoding_is_read(other: Address, postgres: Address) -> None:
    async def count() -> None:
        pass

    primary, standby = Database(postgres, 2, 5.0), Database(other, 2, 5.0)
    await primary.open()
    reads = Reads(primary, standby, count)
    await reads.start()
    try:
        health = await eventually(reads.health, lambda health: "encoding" in str(health.error))
        assert health.state == "degraded"

        async def name(connection: Any) -> Any:
            return await connection.fetchval("SELECT current_database()")

        assert await reads.read(name) == postgres["database"]
    finally:
        await reads.stop(0.0)
        await primary.close(1.0)
