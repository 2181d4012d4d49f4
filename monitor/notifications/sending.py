"""Sends messages to receivers, each in a process of its own, which is ended in time."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec

from monitor.notifications import process
from monitor.notifications.process import Outcome, Task

_TIMEOUT = 20  # seconds for a receiver to accept a message
_CHECKS = 2  # processes at a time

# Of the server's environment, which has secrets: what Python and TLS need, and the way out.
_KEPT_VARIABLES = (
    "PATH",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
)

# Why a message was not delivered: `http_404` and the like are answers of the receiver; `invalid`:
# no URL of a known service; `refused`: an address of the server's own network; `unreachable`;
# `timeout`; `failed`: the process ended.
Problem = str


class Message(NamedTuple):
    """A title of one line, and a body."""

    title: str
    body: str


class Sender:
    """Sends to receivers. Those of classes may be in public networks and in `networks`.

    None of these is in `refused_networks` or is this machine. A receiver has `timeout` seconds to
    accept a message, whatever it does meanwhile.
    """

    def __init__(
        self,
        networks: Sequence[str],
        refused_networks: Sequence[str] = (),
        *,
        timeout: int = _TIMEOUT,
    ) -> None:
        self._networks = list(networks)
        self._refused_networks = list(refused_networks)
        self._timeout = timeout
        self._checks = asyncio.Semaphore(_CHECKS)

    async def check(self, url: str) -> Problem | None:
        """What is wrong with a URL by itself; nothing is sent."""
        async with self._checks:
            return await self._run(Task(url=url))

    async def send(self, url: str, message: Message, *, by_operator: bool) -> Problem | None:
        """Sends a message. Receivers of the operator may be anywhere."""
        networks = None if by_operator else self._networks
        task = Task(
            url=url,
            title=message.title,
            body=message.body,
            networks=networks,
            refused_networks=self._refused_networks,
        )
        return await self._run(task)

    async def _run(self, task: Task) -> Problem | None:
        task.seconds = self._timeout
        sending = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-m", process.__name__),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=_environment(),
        )
        try:
            async with asyncio.timeout(self._timeout):
                answer, _ = await sending.communicate(msgspec.json.encode(task))
            return msgspec.json.decode(answer, type=Outcome).problem
        except TimeoutError:
            return "timeout"
        except (msgspec.DecodeError, OSError):
            return "failed"
        finally:
            if sending.returncode is None:
                with suppress(ProcessLookupError):
                    sending.kill()
                await sending.wait()


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    path = os.pathsep.join(each for each in sys.path if each)
    return {**kept, "PYTHONPATH": path, "NETRC": os.devnull}
