"""The server's own PostgreSQL: real processes, killed in earnest."""

import asyncio
import os
import signal
import stat
import subprocess
import threading
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from monitor.database.embedded import memory
from monitor.database.embedded.programs import EmbeddedPostgresError
from monitor.database.embedded.roles import SERVER_ROLE, prepare_server_role
from monitor.database.embedded.server import LOG_MAX_BYTES, EmbeddedPostgres
from tests.support.embedded import (
    AS_ROOT,
    WATCHDOGS,
    assert_starts_with,
    assert_written,
    has_ended,
    postmaster_of,
    run_query,
    serve,
    write_word,
)
from tests.support.postgres import run_client
from tests.support.replicas import RUN, Replica
from tests.support.waiting import eventually


@pytest.mark.parametrize("watchdog", WATCHDOGS)
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_it_ends_with_the_server(
    postgres_directory: Path, signum: signal.Signals, watchdog: bool
) -> None:
    with serve(postgres_directory, watchdog=watchdog) as (server, host):
        word = await write_word(host)
        head = postmaster_of(postgres_directory)
        server.send_signal(signum)
        server.wait(10)
        await eventually(lambda: has_ended(head))
    assert not (postgres_directory / "data" / "postmaster.pid").exists(), (
        "a clean shutdown removes it"
    )
    await assert_starts_with(postgres_directory, word)


@pytest.mark.parametrize("watchdog", WATCHDOGS)
async def test_it_ends_with_the_server_where_every_user_can_reach_it(
    open_directory: Path, watchdog: bool
) -> None:
    with serve(open_directory, watchdog=watchdog) as (server, _):
        head = postmaster_of(open_directory)
        server.kill()
        await eventually(lambda: has_ended(head))


async def test_a_killed_head_is_replaced_under_the_same_address(postgres_directory: Path) -> None:
    with EmbeddedPostgres(postgres_directory) as postgres:
        host, head = postgres.host, postmaster_of(postgres_directory)
        word = await write_word(host)
        postgres.ensure_running()
        assert postmaster_of(postgres_directory) == head
        head.kill()
        await eventually(lambda: has_ended(head))
        postgres.ensure_running()
        assert postgres.host == host
        await assert_written(host, word)


@pytest.mark.parametrize("watchdog", WATCHDOGS)
async def test_a_replaced_head_ends_with_the_server_too(
    postgres_directory: Path, watchdog: bool
) -> None:
    with serve(postgres_directory, watchdog=watchdog) as (server, _):
        assert server.stdin
        assert server.stdout
        first = postmaster_of(postgres_directory)
        first.kill()
        await eventually(lambda: has_ended(first))
        server.stdin.write("\n")
        server.stdin.flush()
        assert server.stdout.readline() == "running\n"
        second = postmaster_of(postgres_directory)
        assert second != first
        server.kill()
        await eventually(lambda: has_ended(second))


def test_it_runs_between_start_and_stop_only(postgres_directory: Path) -> None:
    pid_file = postgres_directory / "data" / "postmaster.pid"
    postgres = EmbeddedPostgres(postgres_directory)
    postgres.ensure_running()
    postgres.stop()
    assert not pid_file.exists()
    postgres.start()
    postgres.start()
    assert pid_file.exists()
    postgres.stop()
    postgres.ensure_running()
    assert not pid_file.exists()


@pytest.mark.parametrize("watchdog", WATCHDOGS)
def test_stop_leaves_no_process(postgres_directory: Path, watchdog: bool) -> None:
    before = psutil.Process().children()
    with EmbeddedPostgres(postgres_directory, watchdog=watchdog):
        assert len(psutil.Process().children()) == len(before) + 1 + watchdog
    assert psutil.Process().children() == before


async def test_a_second_server_on_the_directory_is_refused(postgres_directory: Path) -> None:
    with EmbeddedPostgres(postgres_directory) as first:
        with pytest.raises(EmbeddedPostgresError, match="DATA_DIR") as refusal:
            EmbeddedPostgres(postgres_directory).start()
        assert str(postgres_directory) in str(refusal.value)
        await write_word(first.host)


@pytest.mark.parametrize("name", ["x" * 120, "一, 二 \"三\" '四'"], ids=["long", "awkward"])
def test_any_path_will_do(copied_directory: Path, name: str) -> None:
    directory = copied_directory.rename(copied_directory.with_name(name))
    with EmbeddedPostgres(directory) as postgres:
        place = Path(postgres.host)
        assert place.joinpath(".s.PGSQL.5432").is_socket()
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert not place.exists()


async def test_nothing_weakens_durability(postgres_directory: Path) -> None:
    wanted = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "listen_addresses": "",
    }
    with EmbeddedPostgres(postgres_directory) as postgres:
        for setting, value in wanted.items():
            assert await run_query(postgres.host, f"SHOW {setting}") == value


def test_it_has_a_session_of_its_own(postgres_directory: Path) -> None:
    with EmbeddedPostgres(postgres_directory):
        head = postmaster_of(postgres_directory)
        assert os.getsid(head.pid) == head.pid != os.getsid(0)


def test_it_runs_as_an_unprivileged_user_and_opens_nothing(postgres_directory: Path) -> None:
    modes = {path: path.stat().st_mode for path in postgres_directory.parents}
    with EmbeddedPostgres(postgres_directory):
        uid = postmaster_of(postgres_directory).uids().effective
    assert (uid != 0) if AS_ROOT else (uid == os.geteuid())
    assert (postgres_directory / "data").stat().st_uid == uid
    assert stat.S_IMODE((postgres_directory / "data").stat().st_mode) == 0o700
    assert {path: path.stat().st_mode for path in postgres_directory.parents} == modes


def test_it_keeps_no_capability(postgres_directory: Path) -> None:
    with EmbeddedPostgres(postgres_directory):
        head = postmaster_of(postgres_directory)
        for process in (head, *head.children(recursive=True)):
            status = Path(f"/proc/{process.pid}/status")
            if status.exists():
                sets = dict(line.split(":\t") for line in status.read_text().splitlines())
                for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                    assert int(sets[name], 16) == 0, name


def test_root_is_refused_where_postgresql_would_need_its_powers(
    copied_directory: Path, tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    if not AS_ROOT:  # who runs PostgreSQL as themselves
        with EmbeddedPostgres(copied_directory):
            return
    with pytest.raises(EmbeddedPostgresError, match="cannot reach") as refusal:
        EmbeddedPostgres(copied_directory).start()
    assert "start the server as an ordinary user" in str(refusal.value)
    assert "DATABASE_URL" in str(refusal.value)


def test_a_broken_data_directory_is_reported_with_the_log(copied_directory: Path) -> None:
    configuration = copied_directory / "data" / "postgresql.conf"
    whole = configuration.read_text()
    configuration.write_text("nonsense = 1\n")
    with pytest.raises(EmbeddedPostgresError, match="DATABASE_URL") as failure:
        EmbeddedPostgres(copied_directory).start()
    assert "nonsense" in str(failure.value)
    configuration.write_text(whole)
    with EmbeddedPostgres(copied_directory):
        assert postmaster_of(copied_directory).is_running()


def test_the_log_does_not_grow_without_bound(postgres_directory: Path) -> None:
    with EmbeddedPostgres(postgres_directory) as postgres:
        postgres.ensure_running()
        assert 0 < postgres.log.stat().st_size < LOG_MAX_BYTES
        os.truncate(postgres.log, LOG_MAX_BYTES + 1)
        postgres.ensure_running()
        assert postgres.log.stat().st_size == 0


async def test_it_outlives_the_thread_that_restarted_it(postgres_directory: Path) -> None:
    with EmbeddedPostgres(postgres_directory, watchdog=False) as postgres:
        head = postmaster_of(postgres_directory)
        head.kill()
        await eventually(lambda: has_ended(head))
        thread = threading.Thread(target=postgres.ensure_running)
        thread.start()
        thread.join()
        await write_word(postgres.host)
    assert not (postgres_directory / "data" / "postmaster.pid").exists()


async def test_a_stop_does_not_wait_for_a_restart(
    postgres_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EmbeddedPostgres, "_is_ready", lambda *_: False)
    postgres = EmbeddedPostgres(postgres_directory)
    thread = threading.Thread(target=expect_interruption, args=[postgres])
    thread.start()
    await eventually(lambda: (postgres_directory / "data" / "postmaster.pid").exists())
    postgres.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert not (postgres_directory / "data" / "postmaster.pid").exists()


def expect_interruption(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(EmbeddedPostgresError, match="the server is stopping"):
        postgres.start()


async def test_the_server_is_no_superuser(copied_directory: Path) -> None:
    """Also in the data directory of an earlier version, whose tables are the superuser's."""
    with EmbeddedPostgres(copied_directory) as postgres:
        await run_query(postgres.host, "CREATE SEQUENCE numbers")
        await run_query(postgres.host, "CREATE TABLE counted (id serial PRIMARY KEY)")
        await run_query(postgres.host, "CREATE FUNCTION one() RETURNS int RETURN 1")
        await run_query(postgres.host, "CREATE TYPE mood AS ENUM ('good')")
    for _ in range(2):
        with EmbeddedPostgres(copied_directory) as postgres:
            await prepare_server_role(postgres.host, postgres.port, postgres.database)
            connection = await asyncpg.connect(
                host=postgres.host, port=5432, user=SERVER_ROLE, database="postgres"
            )
            try:
                row = await connection.fetchrow(
                    "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
                    " FROM pg_roles WHERE rolname = current_user"
                )
                assert not any(row)
                await connection.execute("DROP TABLE IF EXISTS words, counted")
                await connection.execute("DROP FUNCTION IF EXISTS one")
                await connection.execute("DROP TYPE IF EXISTS mood")
                await connection.execute("DROP SEQUENCE IF EXISTS numbers")
                await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
                await connection.execute("CREATE TABLE IF NOT EXISTS made (id int)")
                for refused in (
                    "COPY made FROM PROGRAM 'id'",
                    "COPY made TO '/tmp/made'",
                    "SELECT pg_read_file('PG_VERSION')",
                    "ALTER ROLE cell_monitor SUPERUSER",
                    "SET ROLE postgres",
                    "ALTER SYSTEM SET log_statement = 'all'",
                ):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await connection.execute(refused)
            finally:
                await connection.close()
            assert await run_query(postgres.host, "SELECT count(*) FROM made") == 0


async def test_a_server_and_its_commands_work_without_a_superuser(copied_directory: Path) -> None:
    environment = {"DATA_DIR": str(copied_directory.parent)}
    with Replica(environment) as replica:
        async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1", timeout=30) as api:
            event = {"eventType": "cell_executed", "userId": "hanako", "cellId": "c"}
            assert (await api.post("/events", json=[event])).json()["stored"] == 1
            health = (await api.get("/health")).json()
            assert health["status"] == "ok", health
        for arguments in (("recount",), ("migrate",), ("keys", "list")):
            done = await asyncio.to_thread(
                subprocess.run,
                [*RUN, *arguments],
                env=replica.environment,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
        host = str(copied_directory / "socket")
        owners = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        theirs = f"{owners} AND relowner <> '{SERVER_ROLE}'::regrole"
        assert await run_query(host, theirs) == 0
        address = {"host": host, "port": 5432, "user": SERVER_ROLE, "database": "postgres"}
        dump = await run_client("pg_dump", {**address, "password": None})
        assert b"COPY public.students" in dump


async def test_it_takes_no_more_memory_than_its_cgroup_has(
    postgres_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        "mountinfo": "30 24 0:26 / /cgroups rw - cgroup2 cgroup rw\n",
        "cgroup": "0::/service\n",
    }.items():
        (tmp_path / "proc" / "self").mkdir(parents=True, exist_ok=True)
        (tmp_path / "proc" / "self" / name).write_text(text)
    (tmp_path / "cgroups" / "service").mkdir(parents=True)
    (tmp_path / "cgroups" / "service" / "memory.max").write_text("201326592\n")
    monkeypatch.setattr(memory, "ROOT", tmp_path)
    with EmbeddedPostgres(postgres_directory) as postgres:
        assert await run_query(postgres.host, "SHOW shared_buffers") == "16MB"
        assert await run_query(postgres.host, "SHOW maintenance_work_mem") == "6MB"
