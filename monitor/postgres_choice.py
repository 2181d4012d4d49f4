"""The PostgreSQL that the settings name: the embedded one, or one that runs already."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from monitor.addresses import postgres_address
from monitor.database.embedded.programs import EmbeddedPostgresError
from monitor.database.embedded.roles import SERVER_ROLE, prepare_server_role
from monitor.database.embedded.server import EmbeddedPostgres
from monitor.database.errors import RUN_MIGRATE
from monitor.errors import CommandError
from monitor.settings import Settings

_SOCKET_LINE = 4  # of postmaster.pid, counted from 0


@contextmanager
def postgres_for_server(
    settings: Settings,
) -> Iterator[tuple[EmbeddedPostgres | None, Mapping[str, Any]]]:
    """The embedded PostgreSQL (or None) and asyncpg's connection arguments.

    Raises EmbeddedPostgresError if the embedded one is needed and can't be run.
    """
    if address := postgres_address(settings):
        yield None, address
        return
    with EmbeddedPostgres(settings.data_dir / "postgres") as embedded:
        asyncio.run(prepare_server_role(embedded.host, embedded.port, embedded.database))
        yield (
            embedded,
            {
                "host": embedded.host,
                "port": embedded.port,
                "user": SERVER_ROLE,
                "database": embedded.database,
            },
        )


@contextmanager
def postgres_for_commands(settings: Settings) -> Iterator[Mapping[str, Any]]:
    """asyncpg's connection arguments, for a command that may run beside a server.

    If a server runs on this DATA_DIR, its embedded PostgreSQL is used. Raises CommandError where
    none was created yet, and EmbeddedPostgresError if it can't be run.
    """
    if directory := missing_cluster(settings):
        raise CommandError(
            f"There is no database in {directory} yet: set DATA_DIR to that of the server, or"
            f" {RUN_MIGRATE} to create one"
        )
    with postgres_to_migrate(settings) as address:
        yield address


@contextmanager
def postgres_to_migrate(settings: Settings) -> Iterator[Mapping[str, Any]]:
    """Like `postgres_for_commands`, but creates the embedded PostgreSQL if there is none."""
    with ExitStack() as stack:
        try:
            _, address = stack.enter_context(postgres_for_server(settings))
        except EmbeddedPostgresError:
            running = _address_of_running(settings)
            if running is None:
                raise
            address = running
        yield address


def missing_cluster(settings: Settings) -> Path | None:
    """Where an embedded PostgreSQL would be created; None if none is needed, or there is one.

    Raises EmbeddedPostgresError if the directory can't be read.
    """
    embedded = EmbeddedPostgres(settings.data_dir / "postgres")
    return None if postgres_address(settings) or embedded.exists else embedded.directory


def _address_of_running(settings: Settings) -> Mapping[str, Any] | None:
    """The address of the embedded PostgreSQL that a server of this DATA_DIR runs."""
    pid_file = settings.data_dir / "postgres" / "data" / "postmaster.pid"
    if not pid_file.exists():
        return None
    host = pid_file.read_text().splitlines()[_SOCKET_LINE]
    return {"host": host, "port": 5432, "user": SERVER_ROLE, "database": "postgres"}
