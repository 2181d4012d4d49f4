"""`python -m tests.noisy.attack ROW`: the attacker's program.

A process of its own at nice 19, so that it doesn't take the server's processors; its memory and
time are bounded. Reads a Target as JSON from standard input, prints the Outcomes as JSON.
"""

import asyncio
import os
import resource
import subprocess
import sys
from contextlib import suppress

import msgspec

from tests.noisy.attacker import Attacker
from tests.noisy.rows import ROWS
from tests.noisy.school import Target

MAX_MEMORY = 3 * 1024**3  # bytes of addresses, some of which are never used
NICE = 19
ENDING = 15.0  # seconds to end after the attack's time is over

Outcomes = dict[str, int]  # answers and errors → how often


class AttackError(Exception):
    """The attack's program has failed, and with it the measurement."""


class Attack:
    """The process of an attacker."""

    def __init__(self, row: str, target: Target) -> None:
        self._timeout = target.seconds + ENDING
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.noisy.attack", row],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._target = msgspec.json.encode(target)

    def outcomes(self) -> Outcomes:
        """Waits until its time is over. Raises AttackError if it could not attack."""
        try:
            output, errors = self._process.communicate(self._target, self._timeout)
        finally:
            self._process.kill()
        if self._process.returncode:
            raise AttackError(errors.decode()[-2000:])
        return msgspec.json.decode(output, type=Outcomes)


def _bound(seconds: float) -> None:
    """So that it can't harm the machine."""
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    processor_seconds = int(2 * seconds + ENDING)
    resource.setrlimit(resource.RLIMIT_CPU, (processor_seconds, processor_seconds))


async def attack(row: str, target: Target) -> Outcomes:
    async with Attacker(target) as attacker:
        with suppress(TimeoutError):
            async with asyncio.timeout(target.seconds):
                await ROWS[row].attack(attacker)
        return dict(attacker.outcomes)


def main() -> None:
    target = msgspec.json.decode(sys.stdin.buffer.read(), type=Target)
    _bound(target.seconds)
    outcomes = asyncio.run(attack(sys.argv[1], target))
    sys.stdout.write(msgspec.json.encode(outcomes).decode())


if __name__ == "__main__":
    main()
