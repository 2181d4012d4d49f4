"""What workers do, and what it may take."""

from typing import NamedTuple

from monitor.errors import MonitorError

_MEMORY = 64 * 1024 * 1024  # bytes that a job may take
_MEMORY_PER_BYTE = 6  # more of them, for each byte of content: it is copied a few times
_SECONDS_PER_BYTE = 0.4e-6  # of processor time; reading takes at most half of it
_WALL_PER_PROCESSOR = 10  # seconds by the clock for one of processor time: others work too
_WALL_TIMEOUT = 10.0  # seconds by the clock, beside: to start, or where a worker is stopped


class TooCostly(MonitorError):
    """This takes more time or memory than the server spends on it: trying again doesn't help."""


class Job(NamedTuple):
    """A function of a module, from bytes to bytes. It may take `seconds` of processor time.

    It is called with the `argument`, too, unless that is empty.
    """

    module: str
    function: str
    seconds: float
    argument: str = ""

    @property
    def name(self) -> str:
        return f"{self.module}:{self.function}:{self.argument}"


class Limits(NamedTuple):
    """What a job may take: seconds of processor time and by the clock, and bytes of memory."""

    seconds: float
    wall_seconds: float
    memory: int


def limits_of(job: Job, size: int) -> Limits:
    """The limits for content of this size, in bytes: they grow with what it weighs."""
    seconds = job.seconds + size * _SECONDS_PER_BYTE
    wall_seconds = seconds * _WALL_PER_PROCESSOR + _WALL_TIMEOUT
    return Limits(seconds, wall_seconds, _MEMORY + size * _MEMORY_PER_BYTE)
