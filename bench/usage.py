"""How busy the processes of a run are."""

import time
from collections.abc import Mapping
from typing import Self

import psutil


class Usage:
    """Processor time by part, from construction to `str()`."""

    def __init__(self, parts: Mapping[str, list[psutil.Process]]) -> None:
        self._parts = parts
        self._before = self._seconds()
        self._start = time.perf_counter()

    @classmethod
    def of(cls, server: int, **others: int) -> Self:
        """Of the server, of the PostgreSQL that is its child, and of others by their pids."""
        process = psutil.Process(server)
        parts = {"server": [process], "PostgreSQL": process.children(recursive=True)}
        return cls(parts | {name: [psutil.Process(pid)] for name, pid in others.items()})

    def shares(self) -> dict[str, float]:
        """Processors in use by each part since its start, 1.0 being one whole processor."""
        elapsed = time.perf_counter() - self._start
        after = self._seconds()
        return {name: (after[name] - self._before[name]) / elapsed for name in after}

    def __str__(self) -> str:
        return describe(self.shares())

    def _seconds(self) -> dict[str, float]:
        return {name: sum(map(_cpu, processes)) for name, processes in self._parts.items()}


def describe(shares: Mapping[str, float], rate: float | None = None) -> str:
    """The shares in words and, of a rate in events/s, what an event costs the server."""
    text = "processors: " + ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
    return text if rate is None else f"{text}; server {1e6 * shares['server'] / rate:.1f} µs/event"


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
