"""PostgreSQL processes that outlived their server, or their own head."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

# Fast shutdown writes a checkpoint; the harder signals only cost a recovery at the next start.
ENDINGS = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 15.0), (signal.SIGKILL, 15.0))


def end_leftovers(data: Path, recorded: list[bytes]) -> None:
    """End all that works in this data directory, at first by its head, whose pid is recorded."""
    left = _pids_in(data)
    head = [pid for pid in left if [b"%d" % pid] == recorded]
    if left:
        # Without a head the rest leave by themselves, unless they are busy.
        left = _end(data, head, signal.SIGINT, ENDINGS[0][1] if head else 1.0)
    for signum, seconds in ENDINGS[1:]:
        if left:
            left = _end(data, left, signum, seconds)


def _pids_in(data: Path) -> list[int]:
    """Every PostgreSQL process, head or not, that works in this data directory."""
    import psutil

    found = []
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "postgres":
            with suppress(psutil.Error, OSError):
                if data.samefile(process.cwd()):
                    found.append(process.pid)
    return found


def _end(data: Path, pids: list[int], signum: int, seconds: float) -> list[int]:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signum)
    deadline = time.monotonic() + seconds
    while (left := _pids_in(data)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left
