"""The lock of a data directory: one server at a time uses it."""

import fcntl
import os
import time
from pathlib import Path

from monitor.database.embedded.programs import EmbeddedPostgresError

_TIMEOUT = 2.0  # seconds; a killed server's child holds the lock until its exec


def lock(directory: Path) -> int:
    """Locks the directory until the file descriptor that is returned is closed.

    Raises EmbeddedPostgresError if another server has it.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _await(descriptor, directory)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _await(descriptor: int, directory: Path) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while not _locks(descriptor):
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(
                f"another server is using {directory}: stop it, or set another DATA_DIR"
            )
        time.sleep(0.05)


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
