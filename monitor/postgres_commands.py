"""The commands for PostgreSQL itself: run a program of its own, upgrade the embedded one."""

import argparse
import contextlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from monitor.addresses import postgres_address
from monitor.database.embedded.programs import EmbeddedPostgresError, binaries
from monitor.database.embedded.upgrade import upgrade
from monitor.errors import CommandError
from monitor.postgres_choice import postgres_for_commands
from monitor.settings import Settings

# asyncpg's arguments, and what PostgreSQL's programs call them.
_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "database": "PGDATABASE",
}
_TLS = {"sslmode", "sslrootcert", "sslcert", "sslkey"}


def declare(subparsers: Any) -> None:
    """Adds the commands, as `monitor.commands.declare` does."""
    command = subparsers.add_parser(
        "pg",
        help="run psql, pg_dump or another program of PostgreSQL's on the server's database",
        description=(
            "Runs a program of PostgreSQL's, whose arguments follow, on the server's database; may"
            " run beside a server."
        ),
    )
    command.set_defaults(run=_run_program)
    command.add_argument("program", metavar="PROGRAM")
    command.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT")
    command = subparsers.add_parser(
        "upgrade-postgres",
        help="upgrade the embedded PostgreSQL's data to the installed version; no server may run",
    )
    command.set_defaults(run=_upgrade)
    command.add_argument(
        "--programs",
        type=Path,
        required=True,
        metavar="DIRECTORY",
        help="where the programs of the version that wrote it are: /usr/lib/postgresql/17/bin",
    )


def _run_program(arguments: argparse.Namespace, settings: Settings) -> int:
    program = _find(arguments.program, settings)
    with postgres_for_commands(settings) as address:
        done = subprocess.run(  # noqa: S603
            [program, *arguments.arguments], env=os.environ | _variables(address)
        )
    return done.returncode


def _find(name: str, settings: Settings) -> str:
    """The program of the embedded PostgreSQL, else of the PATH; a path names any other.

    The former reads the dumps of all earlier versions, and the machine's own may be older. But it
    has no TLS, for which the PATH's is first.
    """
    own = None
    with contextlib.suppress(EmbeddedPostgresError):  # there may be no embedded PostgreSQL here
        if (program := binaries() / name).exists():
            own = str(program)
    installed = shutil.which(name)
    chosen = installed or own if "sslmode=" in settings.database_url else own or installed
    if chosen:
        return chosen
    raise CommandError(
        f"There is no {name}: name one of PostgreSQL's client programs, such as pg_dump, and"
        " install them if they are missing"
    )


def _variables(address: Mapping[str, Any]) -> dict[str, str]:
    if "dsn" in address:
        return variables_of_url(address["dsn"])
    return {
        variable: str(address[name])
        for name, variable in _VARIABLES.items()
        if address.get(name) is not None
    }


def variables_of_url(url: str) -> dict[str, str]:
    """The environment in which PostgreSQL's programs connect to where a DATABASE_URL says."""
    parts = urlsplit(url)
    login, _, places = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    hosts = [urlsplit(f"//{place}") for place in places.split(",")]
    query = dict(parse_qsl(parts.query))
    variables: dict[str, str | None] = {
        "PGHOST": ",".join(unquote(host.hostname or "") for host in hosts),
        "PGPORT": ",".join(str(host.port or 5432) for host in hosts),
        "PGUSER": unquote(user),
        "PGPASSWORD": unquote(password),
        "PGDATABASE": unquote(parts.path[1:]),
    }
    named = _VARIABLES | {"dbname": "PGDATABASE"}
    variables |= {named[name]: query.pop(name) for name in named.keys() & query.keys()}
    variables |= {f"PG{name.upper()}": query.pop(name) for name in _TLS & query.keys()}
    settings = [f"-c {name}={value}".replace(" ", r"\ ") for name, value in query.items()]
    settings = [each.replace(r"-c\ ", "-c ", 1) for each in settings]
    variables["PGOPTIONS"] = " ".join(settings)
    return {name: value for name, value in variables.items() if value}


def _upgrade(arguments: argparse.Namespace, settings: Settings) -> int:
    if postgres_address(settings):
        raise CommandError(
            "The settings name a PostgreSQL that is not the server's own: upgrade it as its"
            " provider says, or unset DATABASE_URL and POSTGRES_SERVER"
        )
    former = upgrade((settings.data_dir / "postgres").resolve(), arguments.programs.resolve())
    print(f"PostgreSQL is upgraded. Start the server; once all is well, delete {former}")
    return 0
