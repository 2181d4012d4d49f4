"""Commands where the database is not ready: only `migrate` changes the schema or creates one."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.postgres import Address
from tests.support.schema import FILES, apply_by_server, restore, schema_of, tables

LISTING = ("keys", "list")
REBUILDING = ("rebuild-influxdb",)


async def run(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(ROOT / "run.py"), *arguments],
        env={"PATH": os.environ["PATH"], "INFLUXDB_URL": "http://127.0.0.1:1", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


async def fails(environment: dict[str, str], *arguments: str) -> str:
    """The one line that the command ends with."""
    done = await run(environment, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    return line


@pytest.fixture
def empty_directory(tmp_path: Path) -> Iterator[Path]:
    """One that is still empty at the end of the test."""
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


async def test_keys_do_not_migrate(environment: dict[str, str], postgres: Address) -> None:
    said = await fails(environment, *LISTING)
    assert said.startswith("The schema lacks 0001_first_version.sql, 0002_outboxes.sql")
    assert "run `cell-monitor migrate`" in said
    assert said.endswith(f"with POSTGRES_USER={postgres['user']}")
    assert await tables(postgres) == []
    await apply_by_server(postgres)
    assert (await run(environment, *LISTING)).stdout == "[]\n"


async def test_an_older_schema_stays_as_it_is(
    environment: dict[str, str], postgres: Address
) -> None:
    await restore(postgres)
    before = await schema_of(postgres)
    for arguments in (LISTING, REBUILDING):
        assert "run `cell-monitor migrate`" in await fails(environment, *arguments)
    assert await schema_of(postgres) == before


@pytest.mark.parametrize("arguments", [LISTING, REBUILDING])
async def test_without_an_embedded_database_none_is_created(
    empty_directory: Path, arguments: tuple[str, ...]
) -> None:
    said = await fails({"DATA_DIR": str(empty_directory / "data")}, *arguments)
    assert "DATA_DIR" in said
    assert "run `cell-monitor migrate`" in said


async def test_an_embedded_database_is_migrated_by_the_command_only(
    copied_directory: Path,
) -> None:
    environment = {"DATA_DIR": str(copied_directory.parent)}
    for arguments in (LISTING, REBUILDING):
        assert "run `cell-monitor migrate`" in await fails(environment, *arguments)
    said = (await run(environment, "migrate", "--dry-run")).stdout
    assert said.startswith("Would apply 0001_first_version.sql\n")
    assert (await run(environment, "migrate")).returncode == 0
    assert (await run(environment, *LISTING)).stdout == "[]\n"


async def test_a_dry_run_creates_nothing(empty_directory: Path) -> None:
    environment = {"DATA_DIR": str(empty_directory / "data")}
    done = await run(environment, "migrate", "--dry-run")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    directory = empty_directory / "data" / "postgres"
    assert lines[0] == f"Would create an embedded PostgreSQL in {directory}"
    assert lines[1:-2] == [f"Would apply {path.name}" for path in FILES]
    assert lines[-2].startswith("Would create partitions from 400 days back to 12 months ahead")
    assert lines[-1] == "Nothing was changed"
