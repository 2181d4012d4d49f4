"""Starts what is measured, each server in a process of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench.figures import BenchError
from monitor.settings import Settings
from tests.support.servers import RedisServer

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT = 60.0  # seconds
STOP_SECONDS = 60.0
SOCKET_LINE = 4  # of postmaster.pid, counted from 0


@dataclass(frozen=True)
class Server:
    """A server that answers, and where its data is."""

    pid: int
    port: int
    data: Path

    @property
    def socket(self) -> str:
        """The directory of the socket of the server's own PostgreSQL."""
        return (
            (self.data / "postgres" / "data" / "postmaster.pid")
            .read_text()
            .splitlines()[SOCKET_LINE]
        )

    async def connect(self) -> asyncpg.Connection:
        """A connection to the server's own PostgreSQL."""
        return await asyncpg.connect(
            host=self.socket, port=5432, user="postgres", database="postgres"
        )


@contextmanager
def monitor(checkout: Path = ROOT, /, **settings: str) -> Iterator[Server]:
    """The server of a checkout, with an empty PostgreSQL of its own and no other service.

    `settings` are variables of its environment.
    """
    with directory() as data, monitor_of(data, checkout, **settings) as server:
        yield server


@contextmanager
def monitor_of(data: Path, checkout: Path = ROOT, /, **settings: str) -> Iterator[Server]:
    """The same with a data directory that there is already."""
    names = {name.upper() for name in Settings.__struct_fields__}
    kept = {name: value for name, value in os.environ.items() if name not in names}
    port = free_port()
    environment = {**kept, "PORT": str(port), "DATA_DIR": str(data), **settings}
    with _running([str(checkout / "run.py")], environment, port, data / "server.log") as pid:
        yield Server(pid, port, data)


@contextmanager
def pair() -> Iterator[tuple[Server, Server]]:
    """Two replicas on the first one's PostgreSQL, with Redis between them."""
    with directory() as data, RedisServer(data) as redis:
        names = {"REDIS_HOST": redis.host, "REDIS_PORT": str(redis.port)}
        with monitor(**names) as one, monitor(**names, POSTGRES_SERVER=one.socket) as two:
            yield one, two


@contextmanager
def empty() -> Iterator[Server]:
    """The server with the empty route."""
    with directory() as data:
        port = free_port()
        arguments = ["-m", "bench.empty", str(port)]
        with _running(arguments, dict(os.environ), port, data / "server.log") as pid:
            yield Server(pid, port, data)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def directory() -> Iterator[Path]:
    """A directory for data, gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="bench-"))
    path.chmod(0o711)  # root's PostgreSQL runs as another user, who has to pass
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _running(
    arguments: Sequence[str], environment: dict[str, str], port: int, log: Path
) -> Iterator[int]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _await_health(process, port, log)
        yield process.pid
        if process.poll() is not None:
            raise BenchError(f"The server ended by itself:\n{_tail(log)}")
    finally:
        _end(process)


def _await_health(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise BenchError(f"The server did not start:\n{_tail(log)}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]
