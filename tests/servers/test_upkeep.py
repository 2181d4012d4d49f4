"""The commands of docs/upkeep.md, as they stand there."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from monitor.database.embedded.privileges import unprivileged_user
from monitor.database.embedded.programs import EmbeddedPostgresError
from monitor.database.embedded.roles import SERVER_ROLE, prepare_server_role
from monitor.database.embedded.server import EmbeddedPostgres
from monitor.database.embedded.upgrade import upgrade
from monitor.events.event import Payload
from monitor.pipeline.spool.entries import Spool
from tests.support.embedded import run_query
from tests.support.events import event
from tests.support.factories import make_event
from tests.support.pages import Page
from tests.support.paths import CACHE, ROOT
from tests.support.postgres import Address, address_of, environment_of, psql
from tests.support.programs import find_former_postgres
from tests.support.replicas import RUN, Replica
from tests.support.servers import free_port

FORMER = "/usr/lib/postgresql/15/bin"
ROLE = f"classroom_{os.getpid()}"
PASSWORD = "a long one"
DOES_NOT_FIT = (  # into a later version
    """CREATE FUNCTION fits(int) RETURNS boolean LANGUAGE sql
        RETURN current_setting('server_version_num')::int < 180000""",
    "CREATE TABLE former (number int CHECK (fits(number)))",
    "INSERT INTO former VALUES (1)",
)


class Machine:
    """One with a server that has an embedded PostgreSQL; the page's places are the test's own."""

    def __init__(self, directory: Path, places: dict[str, str]) -> None:
        self.data = directory / "cell-monitor"
        self.embedded = {"DATA_DIR": str(self.data)}
        self.port = free_port()
        backups = directory / "backups"
        backups.mkdir()
        self.page = Page(
            "upkeep.md",
            directory,
            {
                "/var/lib/cell-monitor": str(self.data),
                "/var/backups/cell-monitor": str(backups),
                "127.0.0.1:8000": f"127.0.0.1:{self.port}",
                **places,
            },
        )

    @contextmanager
    def running(self, environment: dict[str, str] | None = None) -> Iterator[Replica]:
        """The server, with its embedded PostgreSQL or what `environment` says."""
        with Replica(environment or self.embedded, port=self.port) as server:
            yield server


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, {})


def post(server: Replica, *events: dict[str, Any]) -> tuple[int, int]:
    """How many of the events were stored, and how many had been before."""
    answer = httpx.post(server.events_url, json=events, timeout=15).json()
    return answer["stored"], answer["duplicates"]


async def spool(data_dir: Path, count: int) -> None:
    spooled = Spool.open(data_dir, 1_000_000)
    await spooled.append([Payload([make_event()], []) for _ in range(count)])
    await spooled.close()


@pytest.mark.needs("curl")
def test_a_dump_and_a_spool_are_restored(machine: Machine) -> None:
    before, after = [event() for _ in range(3)], [event(), event()]
    with machine.running() as server:
        assert post(server, *before) == (3, 0)
        machine.page.run("Back up by a dump")
        assert post(server, *after) == (2, 0)
    asyncio.run(spool(machine.data, 4))
    machine.page.run("Back up by a dump", 1)
    shutil.rmtree(machine.data / "spool")
    machine.page.run("Restore a dump")
    with machine.running() as server:
        assert post(server, *before, *after) == (2, 3)
        machine.page.run("Restore a dump", 1)
        health = httpx.get(f"{server.url}/health").json()
        assert health["ledger"]["process"]["stored"] == 2 + 4
        machine.page.run("Restore a dump", 1)
        health = httpx.get(f"{server.url}/health").json()
        assert health["ledger"]["process"]["stored"] == 2 + 4


def test_a_base_backup_is_restored(machine: Machine) -> None:
    before, after = [event(), event()], [event()]
    with machine.running() as server:
        assert post(server, *before) == (2, 0)
        machine.page.run("Back up by a copy of the files")
        assert post(server, *after) == (1, 0)
    machine.page.run("Back up by a copy of the files", 1)
    with machine.running() as server:
        assert post(server, *before, *after) == (1, 2)


def test_indexes_of_a_month_are_built_anew(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"2026_04": f"{datetime.now(UTC):%Y_%m}"})
    events = [event(), event()]
    with machine.running() as server:
        assert post(server, *events) == (2, 0)
        machine.page.run("Give disk space back")
        assert post(server, *events) == (0, 2)


@pytest.fixture
async def external(postgres_server: Address) -> AsyncIterator[Address]:
    """What a role and a database of its own will be on that server; dropped at the end."""
    yield {**postgres_server, "user": ROLE, "password": PASSWORD, "database": ROLE}
    await psql(postgres_server, "-c", f"DROP DATABASE IF EXISTS {ROLE} WITH (FORCE)")
    await psql(postgres_server, "-c", f"DROP ROLE IF EXISTS {ROLE}")


async def test_everything_moves_to_another_postgresql(
    tmp_path: Path, external: Address, postgres_server: Address
) -> None:
    machine = Machine(
        tmp_path,
        {
            "postgres.school.example": str(external["host"]),
            "POSTGRES_PORT=5432": f"POSTGRES_PORT={external['port']}",
            "classroom": ROLE,
        },
    )
    events = [event(), event()]
    (statements,) = machine.page.blocks("Move to another PostgreSQL", "sql")
    await psql(postgres_server, stdin=statements.encode())
    with machine.running() as server:
        assert post(server, *events) == (2, 0)
    await asyncio.to_thread(machine.page.run, "Move to another PostgreSQL")
    with machine.running(environment_of(external, machine.data)) as server:
        assert post(server, *events, event()) == (1, 2)


def run_pg(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*RUN, "pg", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_programs_exit_code_is_the_commands(environment: dict[str, str]) -> None:
    select = ("psql", "--tuples-only", "--no-align", "--command")
    done = run_pg(environment, *select, "SELECT current_database()")
    assert (done.returncode, done.stdout.strip()) == (0, environment["POSTGRES_DB"])
    assert run_pg(environment, *select, "SELECT nothing").returncode == 1
    assert run_pg(environment, "psql", "--wrong-option").returncode == 1


def test_a_program_that_is_missing_is_named(environment: dict[str, str]) -> None:
    done = run_pg(environment, "pg_dumb")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("There is no pg_dumb: name one of PostgreSQL's client programs")


def test_another_postgresql_is_not_upgraded(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [*RUN, "upgrade-postgres", "--programs", "/"],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "upgrade it as its provider says" in done.stderr


@pytest.fixture
def former_programs(tmp_path: Path) -> Path:
    """The programs of an earlier PostgreSQL, with the libraries that lie beside them."""
    directory = tmp_path / "former"
    directory.mkdir()
    programs = find_former_postgres()
    root = programs.parents[3] if programs.is_relative_to(CACHE) else programs
    libraries = ":".join(sorted({str(path.parent) for path in root.rglob("*.so*")}))
    for name in ("initdb", "postgres"):
        script = directory / name
        script.write_text(
            f'#!/bin/sh\nexport LD_LIBRARY_PATH={libraries}\nexec {programs / name} "$@"\n'
        )
        script.chmod(0o755)
    return directory


def make_former_cluster(directory: Path, programs: Path) -> None:
    """A data directory as that version's server made it, by the user that PostgreSQL runs as."""
    directory.mkdir(parents=True)
    user = unprivileged_user(directory / "data")
    if user:
        os.chown(directory, *user)
    options = ("-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
    subprocess.run(
        [str(programs / "initdb"), "-D", str(directory / "data"), *options],
        user=user and user[0],
        env={"PATH": os.environ["PATH"]},
        cwd="/",
        stdout=subprocess.DEVNULL,
        check=True,
    )


@pytest.mark.needs("former postgres")
async def test_the_embedded_postgresql_is_upgraded(tmp_path: Path, former_programs: Path) -> None:
    machine = Machine(tmp_path, {FORMER: str(former_programs)})
    directory = machine.data / "postgres"
    make_former_cluster(directory, former_programs)
    events = [event(), event()]
    with EmbeddedPostgres(directory, programs=former_programs) as former:
        await prepare_server_role(former.host, former.port, former.database)
        address = {**address_of(former), "user": SERVER_ROLE}
        with machine.running(environment_of(address, machine.data)) as server:
            assert post(server, *events) == (2, 0)
        await run_query(former.host, "CREATE ROLE auditor")
        await run_query(former.host, "GRANT SELECT ON students TO auditor")
        await run_query(former.host, "CREATE DATABASE grades")
        for statement in DOES_NOT_FIT:
            await run_query(former.host, statement)
    with pytest.raises(EmbeddedPostgresError, match="could not be copied"):
        await asyncio.to_thread(upgrade, directory, former_programs)
    assert not (directory / "data-upgraded").exists()
    with EmbeddedPostgres(directory, programs=former_programs) as former:
        await run_query(former.host, "DROP TABLE former")
    said = refusal(machine)
    assert said.startswith(f"{directory / 'data'} was written by PostgreSQL 1")
    assert "run `cell-monitor upgrade-postgres --programs DIRECTORY`" in said
    said = await asyncio.to_thread(machine.page.run, "Upgrade the embedded PostgreSQL", 1)
    (kept,) = directory.glob("data-1*")
    assert str(kept) in said
    with machine.running() as server:
        assert post(server, *events, event()) == (1, 2)
    with EmbeddedPostgres(directory) as upgraded:
        granted = "SELECT has_table_privilege('auditor', 'students', 'SELECT')"
        assert await run_query(upgraded.host, granted) is True
        databases = "SELECT count(*) FROM pg_database WHERE datname = 'grades'"
        assert await run_query(upgraded.host, databases) == 1


def refusal(machine: Machine) -> str:
    """The one line that the server ends with."""
    done = subprocess.run(
        RUN,
        env={"PATH": os.environ["PATH"], **machine.embedded},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    return line


def test_an_interrupted_upgrade_is_finished_at_the_next_start(copied_directory: Path) -> None:
    (copied_directory / "data").rename(copied_directory / "data-upgraded")
    with EmbeddedPostgres(copied_directory) as postgres:
        assert asyncio.run(run_query(postgres.host, "SELECT count(*) FROM words")) >= 0
