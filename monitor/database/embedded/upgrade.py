"""Upgrades the embedded PostgreSQL to another major version, by a dump into a new directory."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from monitor.database.embedded.privileges import ENVIRONMENT, KEPT_VARIABLES
from monitor.database.embedded.programs import EmbeddedPostgresError, binaries
from monitor.database.embedded.roles import ADMINISTRATOR, SERVER_ROLE, prepare_server_role
from monitor.database.embedded.server import EmbeddedPostgres
from monitor.database.embedded.versions import (
    UPGRADED,
    data_version,
    finish_upgrade,
    former_data,
    program_version,
)

_OTHERS = (
    "SELECT datname FROM pg_database WHERE datallowconn AND datname <> $1 AND NOT datistemplate"
)
_ERROR_TAIL = 2000  # characters
_PSQL = ("--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1")
_ENVIRONMENT = ENVIRONMENT | KEPT_VARIABLES


class _FormerPostgres(EmbeddedPostgres):
    """PostgreSQL of the version that wrote the data."""

    def give_way(self, upgraded: Path) -> Path:
        """Ends it and puts `upgraded` in the place of its data; returns where that is now.

        The directory stays locked all the time, so that no server can begin on the former data.
        """
        self._end_child()
        former = former_data(self.directory, data_version(self.data))
        upgraded.rename(self.directory / UPGRADED)
        self.data.rename(former)
        finish_upgrade(self.directory)
        if self._lock is not None:
            os.fsync(self._lock)
        return former


def upgrade(directory: Path, programs: Path) -> Path:
    """Copies all databases into a data directory of the installed version.

    `directory` is that of an EmbeddedPostgres that doesn't run, `programs` that of the programs of
    the version that wrote it. Returns where the former data is, which stays as it was. Raises
    EmbeddedPostgresError; until all is copied nothing is changed, and it may be run again.
    """
    _check(directory, programs)
    fresh = directory / "upgrade"
    shutil.rmtree(fresh, ignore_errors=True)  # of an upgrade that was interrupted
    with _FormerPostgres(directory, programs=programs) as old:
        with EmbeddedPostgres(fresh) as new:
            asyncio.run(prepare_server_role(new.host, new.port, new.database))
            _copy_roles(old, new)
            _copy(old, new, old.database)
            for database in asyncio.run(_other_databases(old)):
                _copy(old, new, database, "--create")
            _run(_client(new, "vacuumdb"), "--all", "--analyze-only", "--quiet")
        former = old.give_way(new.data)
    shutil.rmtree(fresh, ignore_errors=True)
    return former


def _check(directory: Path, programs: Path) -> None:
    """Raises EmbeddedPostgresError if there is nothing to upgrade, or not by these programs."""
    finish_upgrade(directory)
    data = directory / "data"
    if not (data / "PG_VERSION").exists():
        raise EmbeddedPostgresError(f"There is no database in {directory}: check DATA_DIR")
    written, installed = data_version(data), program_version(binaries())
    if written >= installed:
        raise EmbeddedPostgresError(
            f"{data} was written by PostgreSQL {written}, and PostgreSQL {installed} is installed:"
            " there is nothing to upgrade"
        )
    given = program_version(programs)
    if given != written:
        raise EmbeddedPostgresError(
            f"{programs} has PostgreSQL {given}, but {data} was written by PostgreSQL {written}:"
            f" name the directory of the programs of version {written}"
        )
    former = former_data(directory, written)
    if former.exists():
        raise EmbeddedPostgresError(f"{former} exists already: move it away, or delete it")


async def _other_databases(postgres: EmbeddedPostgres) -> list[str]:
    connection = await asyncpg.connect(
        host=postgres.host, port=postgres.port, user=ADMINISTRATOR, database=postgres.database
    )
    try:
        return [row["datname"] for row in await connection.fetch(_OTHERS, postgres.database)]
    finally:
        await connection.close()


def _copy_roles(old: EmbeddedPostgres, new: EmbeddedPostgres) -> None:
    """Copies all roles and what they may do; those of ours exist already, and are altered."""
    script = _run(_client(old, "pg_dumpall"), "--globals-only")
    ours = [f"CREATE ROLE {ADMINISTRATOR};", f"CREATE ROLE {SERVER_ROLE};"]
    lines = [line for line in script.decode().splitlines() if line not in ours]
    _run(_client(new, "psql"), *_PSQL, new.database, script="\n".join(lines).encode())


def _copy(old: EmbeddedPostgres, new: EmbeddedPostgres, database: str, *options: str) -> None:
    """Copies a database through a pipe, so that the dump takes no space."""
    dump = [*_client(old, "pg_dump"), *options, database]
    restore = [*_client(new, "psql"), *_PSQL, "--output", os.devnull, new.database]
    with tempfile.TemporaryFile() as errors:
        source = subprocess.Popen(  # noqa: S603
            dump, stdout=subprocess.PIPE, stderr=errors, env=_ENVIRONMENT
        )
        with source:  # closes the pipe, so that the dump ends when the restore has failed
            target = subprocess.run(  # noqa: S603
                restore, stdin=source.stdout, stderr=errors, env=_ENVIRONMENT
            )
        if source.returncode or target.returncode:
            errors.seek(0)
            raise _error(f"The database {database} could not be copied", errors.read())


def _client(postgres: EmbeddedPostgres, program: str) -> list[str]:
    """A client program of the installed version, which reads servers of earlier ones as well."""
    address = ["--host", postgres.host, "--port", str(postgres.port)]
    return [str(binaries() / program), *address, "--username", ADMINISTRATOR]


def _run(command: Sequence[str], *arguments: str, script: bytes = b"") -> bytes:
    """The standard output. Raises EmbeddedPostgresError with what the program said."""
    done = subprocess.run(  # noqa: S603
        [*command, *arguments], input=script, capture_output=True, env=_ENVIRONMENT
    )
    if done.returncode:
        raise _error(f"{Path(command[0]).name} failed", done.stderr)
    return done.stdout


def _error(what: str, said: bytes) -> EmbeddedPostgresError:
    reason = said.decode(errors="replace")[-_ERROR_TAIL:].strip()
    return EmbeddedPostgresError(
        f"{what}:\n{reason}\nNothing was changed: free some space if it lacks that, and try again"
    )
