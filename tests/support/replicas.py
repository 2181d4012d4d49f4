"""The server as an operator runs it: a process of its own, made from `run.py`."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.support.paths import ROOT

RUN = (sys.executable, str(ROOT / "run.py"))
# Starts a server that checks tokens, logins and open sockets again after half a second, not 20.
CHECKING_OFTEN = """
import sys
from monitor.auth import authentication
authentication.RECHECK_INTERVAL = 0.5
from monitor import cli
sys.exit(cli.main([]))
"""
RUN_CHECKING_OFTEN = (sys.executable, "-c", CHECKING_OFTEN)
START_TIMEOUT = 60.0  # seconds
WITHOUT = "TEST_WITHOUT_SETTING"  # names a variable that no replica gets: see `tests.settings`
STOP_SECONDS = 30.0


class Replica:
    """One running server, started by `command` in the directory `cwd`.

    `stderr` is a file descriptor for its log, such as that of a terminal.
    """

    def __init__(
        self,
        environment: dict[str, str],
        *,
        command: Sequence[str] = RUN,
        cwd: Path = ROOT,
        port: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self._command = command
        self._cwd = cwd
        self._stderr = stderr
        self.port = port or _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.events_url = f"{self.url}/api/v1/events"
        self.environment = {**_clean_environment(), **environment, "PORT": str(self.port)}
        self.environment.pop(os.environ.get(WITHOUT, ""), None)
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the replica
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self.log.close()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._command,
            env=self.environment,
            cwd=self._cwd,
            stdout=self.log,
            stderr=self.log if self._stderr is None else self._stderr,
        )
        deadline = time.monotonic() + START_TIMEOUT
        while not self._is_up():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.05)

    def stop(self, signum: int = signal.SIGTERM) -> None:
        if self.process is not None:
            process, self.process = self.process, None
            process.send_signal(signum)
            try:
                process.wait(STOP_SECONDS)
            finally:
                process.kill()

    def output(self) -> str:
        self.log.seek(0)
        return self.log.read().decode()

    def _is_up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/live").status_code == 200
        except httpx.TransportError:
            return False

    @asynccontextmanager
    async def listen(self, query: str = "") -> AsyncIterator["Listener"]:
        async with connect(f"ws://127.0.0.1:{self.port}/ws{query}", proxy=None) as socket:
            listener = Listener(socket)
            listener.subscribed = await listener.next()
            assert listener.subscribed["event"] == "subscribed"
            yield listener


class Listener:
    """A dashboard's end of a WebSocket."""

    subscribed: dict[str, Any]  # the first message

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def read(self, count: int, within: float = 60.0) -> list[dict[str, Any]]:
        async with asyncio.timeout(within):  # for all: a task for each takes longer than reading it
            return [json.loads(await self.socket.recv()) for _ in range(count)]

    async def next(self, within: float = 5.0) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), within))
        return message

    async def send(self, **command: Any) -> dict[str, Any]:
        await self.socket.send(json.dumps(command))
        return await self.next()

    async def silent(self, seconds: float = 0.3) -> bool:
        try:
            await self.next(seconds)
        except TimeoutError:
            return True
        return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _clean_environment() -> dict[str, str]:
    """The machine's environment without what would set the server up otherwise."""
    kept = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ}
