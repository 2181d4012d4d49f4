"""The server's side of one worker."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable

from monitor.errors import Unavailable
from monitor.workers import process
from monitor.workers.job import Job, TooCostly, limits_of
from monitor.workers.process import ANSWER, ASK, FAILED, OUT_OF_MEMORY, OUT_OF_TIME

_MAX_ANSWER = 64 * 1024 * 1024  # bytes; no job answers as much
_RECEIVED = 256 * 1024  # bytes at most at a time

# Secrets of the server's environment are not passed on. Without the last some builds of Python do
# not load.
_KEPT_VARIABLES = ("PATH", "TMPDIR", "LD_LIBRARY_PATH")


class Worker:
    """A process that does one job at a time. It is started at once, and imports `module` first.

    When it has been idle for `idle_timeout` seconds, `forget` is called with it.
    """

    def __init__(self, module: str) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        self._start = asyncio.create_task(_start(module, theirs))
        self._is_running = False
        self._is_ended = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_usable(self) -> bool:
        """Whether it can do another job, as far as is known."""
        if self._is_ended or not self._start.done():
            return not self._is_ended
        return self._start.exception() is None and self._start.result().returncode is None

    async def run(self, job: Job, content: bytes | memoryview) -> bytes:
        """What the job returns.

        Raises TooCostly, and Unavailable if the process can't be started or ends.
        """
        limits = limits_of(job, len(content))
        self._is_running = True
        try:
            async with asyncio.timeout(limits.wall_seconds):
                await asyncio.shield(self._start)
                name = job.name.encode()
                header = ASK.pack(len(name), len(content), limits.seconds, limits.memory)
                return await self._exchange(header + name, content)
        except OSError as error:  # also a timeout
            raise await self._death(error) from error
        except BaseException:
            self._is_ended = True  # in the middle of a job
            raise
        finally:
            self._is_running = False

    def end_after(self, seconds: float, end: Callable[["Worker"], None]) -> None:
        """Calls `end` with this worker in so many seconds, unless it has a job before."""
        self._timer = asyncio.get_running_loop().call_later(seconds, end, self)

    def stay(self) -> None:
        """Takes `end_after` back."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """Ends the process, which keeps nothing. A job that it does raises Unavailable."""
        self.stay()
        self._is_ended = True
        if _has_started(self._start) and self._start.result().returncode is None:
            _kill(self._start.result())
        if not self._is_running:
            self._socket.close()  # ends a process that is still being started

    async def ended(self) -> None:
        """Waits until the process has ended."""
        await asyncio.wait([self._start])
        if _has_started(self._start):
            await self._start.result().wait()

    async def _exchange(self, header: bytes, content: bytes | memoryview) -> bytes:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._socket, header)
        await loop.sock_sendall(self._socket, content)
        status, leaves, size = ANSWER.unpack(await self._receive(ANSWER.size))
        if size > _MAX_ANSWER:
            raise ConnectionError(f"A worker answers {size} bytes")
        answer = await self._receive(size)
        self._is_ended = leaves
        if status == OUT_OF_MEMORY:
            raise TooCostly("This takes too much memory")
        if status == FAILED:
            raise RuntimeError(f"A worker's job failed\n{answer.decode()}")
        return answer

    async def _receive(self, size: int) -> bytes:
        """Raises ConnectionError if the process ends before."""
        loop, received = asyncio.get_running_loop(), bytearray()
        while len(received) < size:
            part = await loop.sock_recv(self._socket, min(_RECEIVED, size - len(received)))
            if not part:
                raise ConnectionResetError("The process ended")
            received += part
        return bytes(received)

    async def _death(self, error: OSError) -> TooCostly | Unavailable:
        """Why the process ended, which it does now if it hasn't."""
        self.end()
        await self.ended()
        if _has_started(self._start) and self._start.result().returncode == -OUT_OF_TIME:
            return TooCostly("This takes too long")
        return Unavailable(f"A worker ended in the middle of a job ({error})")


def _has_started(start: asyncio.Task[Process]) -> bool:
    return start.done() and not start.cancelled() and start.exception() is None


def _kill(ending: Process) -> None:
    """Not by its own method, which with asyncio's loop may lose how it ended: by which signal."""
    with contextlib.suppress(ProcessLookupError):  # it has ended
        os.kill(ending.pid, signal.SIGKILL)


async def _start(module: str, theirs: socket.socket) -> Process:
    """Starts a process with one end of a pair of sockets. Raises OSError."""
    environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    program = [sys.executable, "-P", "-m", process.__name__, module]
    with theirs:
        return await asyncio.create_subprocess_exec(
            *program, stdin=theirs.fileno(), stdout=DEVNULL, env=environment
        )
