"""Orphaned PostgreSQL processes: their server died, or their postmaster."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

# Fast shutdown writes a checkpoint; the harder signals only cost a recovery at the next start.
ENDINGS = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 15.0), (signal.SIGKILL, 15.0))


def end_orphans(data: Path, recorded: list[bytes]) -> None:
    """End all processes in this data directory; `recorded` has the postmaster's pid, if known."""
    left = _pids_in(data)
    postmaster = [pid for pid in left if [b"%d" % pid] == recorded]
    if left:
        # Without a postmaster the others exit by themselves, unless they are busy.
        left = _end(data, postmaster, signal.SIGINT, ENDINGS[0][1] if postmaster else 1.0)
    for signum, seconds in ENDINGS[1:]:
        if left:
            left = _end(data, left, signum, seconds)


def _pids_in(data: Path) -> list[int]:
    """The pids of all PostgreSQL processes whose working directory it is."""
    import psutil

    pids = []
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "postgres":
            with suppress(psutil.Error, OSError):
                if data.samefile(process.cwd()):
                    pids.append(process.pid)
    return pids


def _end(data: Path, pids: list[int], signum: int, seconds: float) -> list[int]:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signum)
    deadline = time.monotonic() + seconds
    while (left := _pids_in(data)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left
