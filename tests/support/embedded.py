"""A PostgreSQL of the server's own for tests: launched, looked into, killed."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from monitor.database.embedded.server import EmbeddedPostgres
from tests.support.paths import ROOT

AS_ROOT = os.geteuid() == 0
# Linux has both ways to end with the server, other systems only the watchdog.
WATCHDOGS = [False, True] if sys.platform == "linux" else [True]
SERVER = """
import signal
import sys
from pathlib import Path
from monitor.database.embedded.server import EmbeddedPostgres
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it
with EmbeddedPostgres(Path(sys.argv[1]), watchdog=sys.argv[2] == "True") as postgres:
    print(postgres.host, flush=True)
    for line in sys.stdin:
        postgres.ensure_running()
        print("running", flush=True)
"""


async def run_query(host: str, query: str, *values: str) -> Any:
    connection = await asyncpg.connect(host=host, port=5432, user="postgres", database="postgres")
    try:
        return await connection.fetchval(query, *values)
    finally:
        await connection.close()


async def write_word(host: str) -> str:
    """Commit a word that was never there before."""
    word = uuid.uuid4().hex
    await run_query(host, "INSERT INTO words VALUES ($1)", word)
    return word


async def assert_written(host: str, word: str) -> None:
    assert await run_query(host, "SELECT count(*) FROM words WHERE word = $1", word) == 1


async def assert_starts_with(directory: Path, word: str) -> None:
    with EmbeddedPostgres(directory) as postgres:
        await assert_written(postgres.host, word)


def postmaster_of(directory: Path) -> psutil.Process:
    return psutil.Process(int((directory / "data" / "postmaster.pid").read_text().split("\n")[0]))


def has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def launch(directory: Path, *, watchdog: bool) -> Iterator["subprocess.Popen[str]"]:
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
def serve(
    directory: Path, *, watchdog: bool = WATCHDOGS[0]
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    with launch(directory, watchdog=watchdog) as server:
        assert server.stdout
        host = server.stdout.readline().strip()
        assert host, "the server did not start"
        yield server, host


@contextmanager
def run_sleep(*, owner_of: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the user that PostgreSQL runs as: another user's would not trouble it."""
    with subprocess.Popen(["sleep", "60"], user=owner_of.stat().st_uid) as process:
        try:
            yield process
        finally:
            process.kill()
