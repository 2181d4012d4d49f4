"""The server's own PostgreSQL: real processes, killed in earnest."""

import os
import shutil
import signal
import stat
import sys
import threading
from pathlib import Path

import psutil
import pytest

from monitor.database.embedded.programs import EmbeddedPostgresError, binaries
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
    """As root below pytest's 0700 directories, as another user simply as that user."""
    modes = {path: path.stat().st_mode for path in postgres_directory.parents}
    with EmbeddedPostgres(postgres_directory):
        uid = postmaster_of(postgres_directory).uids().effective
    assert (uid != 0) if AS_ROOT else (uid == os.geteuid())
    assert (postgres_directory / "data").stat().st_uid == uid
    assert stat.S_IMODE((postgres_directory / "data").stat().st_mode) == 0o700
    assert {path: path.stat().st_mode for path in postgres_directory.parents} == modes


def test_of_roots_powers_it_keeps_one_at_most(
    postgres_directory: Path, open_directory: Path
) -> None:
    """CAP_DAC_READ_SEARCH, and that only where a directory above is closed to its user."""
    search = 1 << 2 if AS_ROOT and sys.platform == "linux" else 0
    with EmbeddedPostgres(postgres_directory):
        assert powers(postgres_directory) == search
    with EmbeddedPostgres(open_directory):
        assert powers(open_directory) == (search if closed(binaries()) else 0)


def powers(directory: Path) -> int:
    status = Path(f"/proc/{postmaster_of(directory).pid}/status")
    if not status.exists():
        return 0
    sets = dict(line.split(":\t") for line in status.read_text().splitlines())
    assert sets["CapPrm"] == sets["CapEff"]
    return int(sets["CapEff"], 16)


def closed(place: Path) -> bool:
    return not all(path.stat().st_mode & stat.S_IXOTH for path in (place, *place.parents))


def test_a_broken_data_directory_is_reported_with_the_log(copied_directory: Path) -> None:
    (copied_directory / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedPostgresError, match="POSTGRES_SERVER") as failure:
        EmbeddedPostgres(copied_directory).start()
    assert "incompatible" in str(failure.value)
    (copied_directory / "data" / "PG_VERSION").write_text("18\n")
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


async def test_programs_below_a_closed_directory_work(
    postgres_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an environment below root's home: pytest's directories have mode 0700."""
    installed = shutil.copytree(binaries().parent, tmp_path / "pginstall")
    monkeypatch.setattr("monitor.database.embedded.server.binaries", lambda: installed / "bin")
    with EmbeddedPostgres(postgres_directory) as postgres:
        await write_word(postgres.host)
