"""The free space that an embedded PostgreSQL needs."""

import shutil
from pathlib import Path

from monitor.database.embedded.programs import EmbeddedPostgresError

_NEW_BYTES = 64 * 1024 * 1024  # a data directory with its schema, and some more of its log


def check_space(directory: Path) -> None:
    """Raises EmbeddedPostgresError where there is no room for a new data directory."""
    free = shutil.disk_usage(directory).free
    if free < _NEW_BYTES:
        raise EmbeddedPostgresError(
            f"{directory} has {free >> 20} MB free, and a new database takes"
            f" {_NEW_BYTES >> 20} MB: free some space, set DATA_DIR to a directory with more, or"
            " set DATABASE_URL to use another PostgreSQL"
        )


def advice_on_space(directory: Path) -> str:
    """A sentence where the disk is so full that not even the log may say it, else nothing."""
    free = shutil.disk_usage(directory).free
    return f"Its disk has {free >> 20} MB free: free some space. " if free < _NEW_BYTES else ""
