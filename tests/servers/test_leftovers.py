"""A killed server's leftover PostgreSQL processes and files block no later start."""

import asyncio
import fcntl
import os
import shutil
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path

import psutil
import pytest

from monitor.database.embedded.programs import EmbeddedPostgresError
from monitor.database.embedded.server import EmbeddedPostgres
from tests.support.embedded import (
    WATCHDOGS,
    assert_starts_with,
    has_ended,
    launch,
    postmaster_of,
    run_sleep,
    serve,
    write_word,
)
from tests.support.waiting import eventually


async def write_and_crash(directory: Path) -> str:
    """Leave what a power cut leaves: a pid file and a log to recover from."""
    with serve(directory) as (server, host):
        word = await write_word(host)
        head = postmaster_of(directory)
        family = [head, *head.children()]
        for process in family:
            with suppress(psutil.NoSuchProcess):  # a worker that has just ended by itself
                process.kill()
        await eventually(lambda: all(has_ended(process) for process in family))
        server.kill()
    return word


def replace_first_line(file: Path, line: str) -> None:
    """Replace the pid in a lock file; no line at all empties the file."""
    _, _, rest = file.read_text().partition("\n")
    file.write_text(f"{line}\n{rest}" if line else "")


@pytest.mark.parametrize("watchdog", WATCHDOGS)
async def test_a_restart_right_after_sigkill_waits_for_the_old_one(
    postgres_directory: Path, watchdog: bool
) -> None:
    with serve(postgres_directory, watchdog=watchdog) as (server, host):
        word = await write_word(host)
        server.kill()
        server.wait()
        await assert_starts_with(postgres_directory, word)


async def test_a_server_killed_while_starting_blocks_nothing(copied_directory: Path) -> None:
    for delay in (0.1, 0.15, 0.2, 0.25):
        with launch(copied_directory, watchdog=WATCHDOGS[0]) as server:
            await asyncio.sleep(delay)
            server.kill()
    with EmbeddedPostgres(copied_directory) as postgres:
        await write_word(postgres.host)


async def test_interrupted_start_with_changed_owner_blocks_nothing(
    copied_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's copy, that is; another user's is theirs already, and this start goes through."""
    chown, calls = os.chown, count()

    def chown_some(path: Path, *user: int, follow_symlinks: bool) -> None:
        if next(calls) == 20:
            raise OSError("broken off")
        chown(path, *user, follow_symlinks=follow_symlinks)

    with monkeypatch.context() as broken, suppress(EmbeddedPostgresError):
        broken.setattr(os, "chown", chown_some)
        with EmbeddedPostgres(copied_directory):
            pass
    with EmbeddedPostgres(copied_directory) as postgres:
        await write_word(postgres.host)


def test_a_lock_that_a_dying_child_still_has_is_waited_for(copied_directory: Path) -> None:
    lock = os.open(copied_directory, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    threading.Timer(0.3, os.close, [lock]).start()
    with EmbeddedPostgres(copied_directory):
        assert postmaster_of(copied_directory).is_running()


async def test_an_orphan_is_shut_down_before_the_next_start(copied_directory: Path) -> None:
    with serve(copied_directory, watchdog=True) as (server, host):
        word = await write_word(host)
        head = postmaster_of(copied_directory)
        for child in psutil.Process(server.pid).children():
            if child.name() != "postgres":
                child.kill()
        server.kill()
        server.wait()
        assert not has_ended(head)
        await assert_starts_with(copied_directory, word)
        assert has_ended(head)


@pytest.mark.parametrize("first_line", ["2147483646", "garbage", "-7", "0", ""])
async def test_a_stale_pid_file_blocks_nothing(copied_directory: Path, first_line: str) -> None:
    word = await write_and_crash(copied_directory)
    replace_first_line(copied_directory / "data" / "postmaster.pid", first_line)
    await assert_starts_with(copied_directory, word)


async def test_the_recycled_pid_of_a_bystander_blocks_nothing(copied_directory: Path) -> None:
    word = await write_and_crash(copied_directory)
    with run_sleep(owner_of=copied_directory / "data") as bystander:
        for lock in ("data/postmaster.pid", "socket/.s.PGSQL.5432.lock"):
            replace_first_line(copied_directory / lock, str(bystander.pid))
        await assert_starts_with(copied_directory, word)
        assert bystander.poll() is None


async def test_the_recycled_pid_of_another_postgres_blocks_nothing(
    postgres_directory: Path, open_directory: Path
) -> None:
    with EmbeddedPostgres(open_directory) as other:
        shutil.copy(open_directory / "data" / "postmaster.pid", postgres_directory / "data")
        with EmbeddedPostgres(postgres_directory) as postgres:
            await write_word(postgres.host)
        await write_word(other.host)


def unfinished(directory: Path) -> list[Path]:
    """Data directories that initdb has not finished, and that nobody removed."""
    return list(directory.glob("initdb-*"))


async def test_a_first_start_that_was_killed_blocks_nothing(tmp_path: Path) -> None:
    with launch(tmp_path, watchdog=WATCHDOGS[0]) as server:
        await eventually(lambda: any(tmp_path.glob("initdb-*/PG_VERSION")))
        server.kill()
    assert not (tmp_path / "data").exists()
    # The killed initdb may still be writing during the first of these.
    for _ in range(2):
        with EmbeddedPostgres(tmp_path):
            assert postmaster_of(tmp_path).is_running()
    assert unfinished(tmp_path) == []
