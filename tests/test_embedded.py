"""The server's own PostgreSQL: real processes, killed in earnest."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from monitor.embedded import LOG_LIMIT, EmbeddedPostgres, EmbeddedPostgresError, binaries

ROOT = Path(__file__).parent.parent
AS_ROOT = os.geteuid() == 0
# Linux has both ways to end with the server, other systems only the watchdog.
WATCHDOGS = [False, True] if sys.platform == "linux" else [True]
SERVER = """
import signal
import sys
from pathlib import Path
from monitor.embedded import EmbeddedPostgres
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it
with EmbeddedPostgres(Path(sys.argv[1]), watchdog=sys.argv[2] == "True") as postgres:
    print(postgres.host, flush=True)
    for line in sys.stdin:
        postgres.ensure_running()
        print("running", flush=True)
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for every test that leaves it whole."""
    directory = tmp_path_factory.mktemp("embedded") / "postgres"
    with EmbeddedPostgres(directory) as postgres:
        asyncio.run(ask(postgres.host, "CREATE TABLE words (word text)"))
    return directory


@pytest.fixture
def copied_directory(directory: Path, tmp_path: Path) -> Path:
    """One to crash in, made by copying because initdb takes longer."""
    shutil.copytree(directory / "data", tmp_path / "postgres" / "data")
    return tmp_path / "postgres"


@pytest.fixture
def open_directory(directory: Path) -> Iterator[Path]:
    """One that every user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        shutil.copytree(directory / "data", Path(place) / "postgres" / "data")
        yield Path(place) / "postgres"


async def ask(host: str, query: str, *values: str) -> Any:
    connection = await asyncpg.connect(host=host, port=5432, user="postgres", database="postgres")
    try:
        return await connection.fetchval(query, *values)
    finally:
        await connection.close()


async def write(host: str) -> str:
    """Commit a word that was never there before."""
    word = uuid.uuid4().hex
    await ask(host, "INSERT INTO words VALUES ($1)", word)
    return word


async def assert_written(host: str, word: str) -> None:
    assert await ask(host, "SELECT count(*) FROM words WHERE word = $1", word) == 1


async def assert_starts_with(directory: Path, word: str) -> None:
    with EmbeddedPostgres(directory) as postgres:
        await assert_written(postgres.host, word)


def head_of(directory: Path) -> psutil.Process:
    return psutil.Process(int((directory / "data" / "postmaster.pid").read_text().split("\n")[0]))


def await_true(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def has_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def launched(directory: Path, *, watchdog: bool) -> Iterator["subprocess.Popen[str]"]:
    """A server in a process of its own; ended at the latest when the test is."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(directory), str(watchdog)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def serving(
    directory: Path, *, watchdog: bool = WATCHDOGS[0]
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    with launched(directory, watchdog=watchdog) as server:
        assert server.stdout
        host = server.stdout.readline().strip()
        assert host, "the server did not start"
        yield server, host


@contextmanager
def sleeping(*, owner_of: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the user that PostgreSQL runs as: another user's would not trouble it."""
    with subprocess.Popen(["sleep", "60"], user=owner_of.stat().st_uid) as process:
        try:
            yield process
        finally:
            process.kill()


async def write_and_crash(directory: Path) -> str:
    """Leave what a power cut leaves: a pid file and a log to recover from."""
    with serving(directory) as (server, host):
        word = await write(host)
        head = head_of(directory)
        family = [head, *head.children()]
        for process in family:
            with suppress(psutil.NoSuchProcess):  # a worker that has just ended by itself
                process.kill()
        await_true(lambda: all(has_gone(process) for process in family))
        server.kill()
    return word


def replace_first_line(file: Path, line: str) -> None:
    """Replace the pid in a lock file; no line at all empties the file."""
    _, _, rest = file.read_text().partition("\n")
    file.write_text(f"{line}\n{rest}" if line else "")


@pytest.mark.parametrize("watchdog", WATCHDOGS)
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_it_ends_with_the_server(
    directory: Path, signum: signal.Signals, watchdog: bool
) -> None:
    with serving(directory, watchdog=watchdog) as (server, host):
        word = await write(host)
        head = head_of(directory)
        server.send_signal(signum)
        server.wait(10)
        await_true(lambda: has_gone(head))
    assert not (directory / "data" / "postmaster.pid").exists(), "a clean shutdown removes it"
    await assert_starts_with(directory, word)


@pytest.mark.parametrize("watchdog", WATCHDOGS)
def test_it_ends_with_the_server_where_every_user_can_reach_it(
    open_directory: Path, watchdog: bool
) -> None:
    with serving(open_directory, watchdog=watchdog) as (server, _):
        head = head_of(open_directory)
        server.kill()
        await_true(lambda: has_gone(head))


@pytest.mark.parametrize("watchdog", WATCHDOGS)
async def test_a_restart_right_after_sigkill_waits_for_the_old_one(
    directory: Path, watchdog: bool
) -> None:
    with serving(directory, watchdog=watchdog) as (server, host):
        word = await write(host)
        server.kill()
        server.wait()
        await assert_starts_with(directory, word)


async def test_a_server_killed_while_starting_blocks_nothing(copied_directory: Path) -> None:
    for delay in (0.1, 0.15, 0.2, 0.25):
        with launched(copied_directory, watchdog=WATCHDOGS[0]) as server:
            await asyncio.sleep(delay)
            server.kill()
    with EmbeddedPostgres(copied_directory) as postgres:
        await write(postgres.host)


async def test_an_orphan_is_shut_down_before_the_next_start(copied_directory: Path) -> None:
    with serving(copied_directory, watchdog=True) as (server, host):
        word = await write(host)
        head = head_of(copied_directory)
        for child in psutil.Process(server.pid).children():
            if child.name() != "postgres":
                child.kill()
        server.kill()
        server.wait()
        assert not has_gone(head)
        await assert_starts_with(copied_directory, word)
        assert has_gone(head)


@pytest.mark.parametrize("first_line", ["2147483646", "garbage", "-7", "0", ""])
async def test_a_stale_pid_file_blocks_nothing(copied_directory: Path, first_line: str) -> None:
    word = await write_and_crash(copied_directory)
    replace_first_line(copied_directory / "data" / "postmaster.pid", first_line)
    await assert_starts_with(copied_directory, word)


async def test_the_recycled_pid_of_a_bystander_blocks_nothing(copied_directory: Path) -> None:
    word = await write_and_crash(copied_directory)
    with sleeping(owner_of=copied_directory / "data") as bystander:
        for lock in ("data/postmaster.pid", "socket/.s.PGSQL.5432.lock"):
            replace_first_line(copied_directory / lock, str(bystander.pid))
        await assert_starts_with(copied_directory, word)
        assert bystander.poll() is None


async def test_the_recycled_pid_of_another_postgres_blocks_nothing(
    directory: Path, open_directory: Path
) -> None:
    with EmbeddedPostgres(open_directory) as other:
        shutil.copy(open_directory / "data" / "postmaster.pid", directory / "data")
        with EmbeddedPostgres(directory) as postgres:
            await write(postgres.host)
        await write(other.host)


async def test_a_killed_head_is_replaced_under_the_same_address(directory: Path) -> None:
    with EmbeddedPostgres(directory) as postgres:
        host, head = postgres.host, head_of(directory)
        word = await write(host)
        postgres.ensure_running()
        assert head_of(directory) == head
        head.kill()
        await_true(lambda: has_gone(head))
        postgres.ensure_running()
        assert postgres.host == host
        await assert_written(host, word)


@pytest.mark.parametrize("watchdog", WATCHDOGS)
def test_a_replaced_head_ends_with_the_server_too(directory: Path, watchdog: bool) -> None:
    with serving(directory, watchdog=watchdog) as (server, _):
        assert server.stdin
        assert server.stdout
        first = head_of(directory)
        first.kill()
        await_true(lambda: has_gone(first))
        server.stdin.write("\n")
        server.stdin.flush()
        assert server.stdout.readline() == "running\n"
        second = head_of(directory)
        assert second != first
        server.kill()
        await_true(lambda: has_gone(second))


def test_it_runs_between_start_and_stop_only(directory: Path) -> None:
    pid_file = directory / "data" / "postmaster.pid"
    postgres = EmbeddedPostgres(directory)
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
def test_stop_leaves_no_process(directory: Path, watchdog: bool) -> None:
    before = psutil.Process().children()
    with EmbeddedPostgres(directory, watchdog=watchdog):
        assert len(psutil.Process().children()) == len(before) + 1 + watchdog
    assert psutil.Process().children() == before


async def test_a_second_server_on_the_directory_is_refused(directory: Path) -> None:
    with EmbeddedPostgres(directory) as first:
        with pytest.raises(EmbeddedPostgresError, match="DATA_DIR") as refusal:
            EmbeddedPostgres(directory).start()
        assert str(directory) in str(refusal.value)
        await write(first.host)


@pytest.mark.parametrize("name", ["x" * 120, "一, 二 \"三\" '四'"], ids=["long", "awkward"])
def test_any_path_will_do(copied_directory: Path, name: str) -> None:
    directory = copied_directory.rename(copied_directory.with_name(name))
    with EmbeddedPostgres(directory) as postgres:
        place = Path(postgres.host)
        assert place.joinpath(".s.PGSQL.5432").is_socket()
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert not place.exists()


def test_a_first_start_that_was_killed_blocks_nothing(tmp_path: Path) -> None:
    with launched(tmp_path, watchdog=WATCHDOGS[0]) as server:
        await_true(lambda: any(tmp_path.glob("initdb-*/PG_VERSION")))
        server.kill()
    assert not (tmp_path / "data").exists()
    # The killed initdb may still be writing during the first of these.
    for _ in range(2):
        with EmbeddedPostgres(tmp_path):
            assert head_of(tmp_path).is_running()
    assert not list(tmp_path.glob("initdb-*"))


async def test_nothing_weakens_durability(directory: Path) -> None:
    wanted = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "listen_addresses": "",
    }
    with EmbeddedPostgres(directory) as postgres:
        for setting, value in wanted.items():
            assert await ask(postgres.host, f"SHOW {setting}") == value


def test_it_has_a_session_of_its_own(directory: Path) -> None:
    with EmbeddedPostgres(directory):
        head = head_of(directory)
        assert os.getsid(head.pid) == head.pid != os.getsid(0)


def test_it_runs_as_an_unprivileged_user_and_opens_nothing(directory: Path) -> None:
    """As root below pytest's 0700 directories, as another user simply as that user."""
    modes = {path: path.stat().st_mode for path in directory.parents}
    with EmbeddedPostgres(directory):
        uid = head_of(directory).uids().effective
    assert (uid != 0) if AS_ROOT else (uid == os.geteuid())
    assert (directory / "data").stat().st_uid == uid
    assert stat.S_IMODE((directory / "data").stat().st_mode) == 0o700
    assert {path: path.stat().st_mode for path in directory.parents} == modes


def test_of_roots_powers_it_keeps_one_at_most(directory: Path, open_directory: Path) -> None:
    """CAP_DAC_READ_SEARCH, and that only where a directory above is closed to its user."""
    search = 1 << 2 if AS_ROOT and sys.platform == "linux" else 0
    with EmbeddedPostgres(directory):
        assert powers(directory) == search
    with EmbeddedPostgres(open_directory):
        assert powers(open_directory) == (search if closed(binaries()) else 0)


def powers(directory: Path) -> int:
    status = Path(f"/proc/{head_of(directory).pid}/status")
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
        assert head_of(copied_directory).is_running()


def test_a_directory_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    thesis = tmp_path / "data" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("mine")
    with pytest.raises(EmbeddedPostgresError, match="DATA_DIR"):
        EmbeddedPostgres(tmp_path).start()
    assert thesis.read_text() == "mine"


def test_without_the_wheel_the_message_says_what_to_do(tmp_path: Path) -> None:
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {SERVER}"
    bare = [sys.executable, "-I", "-S", "-c", script, str(tmp_path), "False"]
    run = subprocess.run(bare, capture_output=True, text=True, check=False)
    assert "make install" in run.stderr
    assert "POSTGRES_SERVER" in run.stderr


def test_the_log_does_not_grow_without_bound(directory: Path) -> None:
    with EmbeddedPostgres(directory) as postgres:
        postgres.ensure_running()
        assert 0 < postgres.log.stat().st_size < LOG_LIMIT
        os.truncate(postgres.log, LOG_LIMIT + 1)
        postgres.ensure_running()
        assert postgres.log.stat().st_size == 0


def test_a_thread_that_may_end_early_cannot_start_it(directory: Path) -> None:
    errors: list[str] = []

    def start() -> None:
        try:
            EmbeddedPostgres(directory, watchdog=False).start()
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main" in errors[0]


async def test_programs_below_a_closed_directory_work(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an environment below root's home: pytest's directories have mode 0700."""
    installed = shutil.copytree(binaries().parent, tmp_path / "pginstall")
    monkeypatch.setattr("monitor.embedded.binaries", lambda: installed / "bin")
    with EmbeddedPostgres(directory) as postgres:
        await write(postgres.host)
