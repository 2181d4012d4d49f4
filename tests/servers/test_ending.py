"""A server that is asked to end leaves no process and no folder, whenever it is asked."""

import asyncio
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from monitor.database.embedded import privileges
from monitor.database.embedded.server import EmbeddedPostgres
from tests.support.replicas import RUN, Replica
from tests.support.waiting import eventually

LONG = "x" * 120  # too long a path for a socket


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A short path, which a socket may have, for what the server puts into TMPDIR."""
    with tempfile.TemporaryDirectory(prefix="end-") as name:
        directory = Path(name)
        directory.chmod(0o777)  # root's PostgreSQL runs as another user
        yield directory


@pytest.fixture
def replica(tmp_path: Path, temporary: Path) -> Iterator[Replica]:
    environment = {"DATA_DIR": str(tmp_path / LONG), "TMPDIR": str(temporary)}
    replica = Replica(environment)
    try:
        yield replica
    finally:
        replica.stop(signal.SIGKILL)
        replica.log.close()


def processes_in(directory: Path) -> list[psutil.Process]:
    """PostgreSQL's, and those that make its data directory."""
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if f"{directory}/" in " ".join((process.cwd() + "/", *process.cmdline())):
                processes.append(process)
    return processes


def left_in_tmpdir(replica: Replica) -> list[Path]:
    return list(Path(replica.environment["TMPDIR"]).iterdir())


def assert_nothing_left(replica: Replica) -> None:
    data_dir = Path(replica.environment["DATA_DIR"])
    assert processes_in(data_dir) == []
    assert left_in_tmpdir(replica) == []
    assert not (data_dir / "postgres" / "data" / "postmaster.pid").exists()
    assert list(data_dir.glob("postgres/initdb-*")) == []
    assert not (data_dir / "postgres" / "socket").is_symlink()


@contextmanager
def starting(replica: Replica, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(
        [*RUN, *arguments], env=replica.environment, stdout=replica.log, stderr=replica.log
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_server_ends_by_the_signal(replica: Replica, signum: signal.Signals) -> None:
    replica.start()
    assert len(left_in_tmpdir(replica)) == 1
    assert replica.process
    replica.process.send_signal(signum)
    as_term = signal.SIGTERM if signum == signal.SIGHUP else signum
    assert replica.process.wait(30) == -as_term
    assert_nothing_left(replica)
    assert "Traceback" not in replica.output()


def test_a_second_signal_does_not_cut_the_stop_short(replica: Replica) -> None:
    replica.start()
    process = replica.process
    assert process
    process.send_signal(signal.SIGTERM)
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    assert process.returncode == -signal.SIGTERM
    assert_nothing_left(replica)


MOMENTS: dict[str, str] = {
    "before initdb has made a cluster": "postgres/initdb-*",
    "while initdb makes it": "postgres/initdb-*/global/pg_control",
    "while PostgreSQL starts": "postgres/data/postmaster.pid",
    "after it has started": "postgres/socket/.s.PGSQL.5432",
}


@pytest.mark.parametrize("arguments", [(), ("migrate",)], ids=["serve", "migrate"])
@pytest.mark.parametrize("pattern", MOMENTS.values(), ids=MOMENTS)
async def test_a_start_can_be_ended_at_any_moment(
    replica: Replica, pattern: str, arguments: tuple[str, ...]
) -> None:
    data_dir = Path(replica.environment["DATA_DIR"])
    with starting(replica, *arguments) as process:
        await eventually(lambda: exists(data_dir, pattern), within=30)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == -signal.SIGTERM, replica.output()
    assert_nothing_left(replica)
    assert "Traceback" not in replica.output()


@pytest.mark.parametrize("last", ["initdb", "postgres"])
def test_a_signal_while_a_program_is_started_ends_that_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    start = privileges.start

    def start_and_interrupt(
        program: Sequence[str], *arguments: Any, **named: Any
    ) -> "subprocess.Popen[bytes]":
        started.append(start(program, *arguments, **named))
        if Path(program[0]).name == last:
            signal.raise_signal(signal.SIGINT)
        return started[-1]

    monkeypatch.setattr(privileges, "start", start_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        EmbeddedPostgres(tmp_path).start()
    assert [process.poll() for process in started if process.returncode is None] == []
    assert len(started) == ["initdb", "postgres"].index(last) + 1
    assert list(tmp_path.glob("initdb-*")) == []


def exists(directory: Path, pattern: str) -> bool:
    return any(directory.glob(pattern))


def test_a_start_after_sigkill_removes_what_the_killed_one_left(replica: Replica) -> None:
    replica.start()
    replica.stop(signal.SIGKILL)
    assert len(left_in_tmpdir(replica)) == 1
    replica.start()
    assert len(left_in_tmpdir(replica)) == 1
    replica.stop()
    assert_nothing_left(replica)
