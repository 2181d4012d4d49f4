"""The commands besides `serve`: migrate, recount, rebuild InfluxDB; credentials, spool, PostgreSQL.

Only migrate changes the schema, or creates the embedded PostgreSQL.
"""

import argparse
import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from monitor import credential_commands, postgres_commands, spool_commands
from monitor.database.migrations import (
    all_migrations,
    migrate,
    missing_migrations,
)
from monitor.database.partitions import (
    DAYS_BACK,
    MONTHS_AHEAD,
    create_partitions,
    missing_partitions,
)
from monitor.database.pool import Database
from monitor.errors import CommandError
from monitor.postgres_choice import missing_cluster, postgres_for_commands, postgres_to_migrate
from monitor.rebuild import rebuild_influxdb
from monitor.recount import RECOUNT_TIMEOUT, recount
from monitor.settings import Settings

_UNCHANGED = "Nothing was changed"
_MIGRATE_TIMEOUT = 60.0  # seconds for each statement except those of migrations


def declare(subparsers: Any) -> None:
    """Adds the commands to the `subparsers` of a command line.

    Each sets `run` to its function, which gets the parsed arguments and the settings and returns
    the exit code.
    """
    _declare_migrate(subparsers)
    _declare_recount(subparsers)
    credential_commands.declare(subparsers)
    spool_commands.declare(subparsers)
    postgres_commands.declare(subparsers)
    _declare_rebuild_influxdb(subparsers)


def _declare_migrate(subparsers: Any) -> None:
    command = subparsers.add_parser(
        "migrate", help="apply missing migrations and create partitions, as the schema's owner"
    )
    command.set_defaults(run=_migrate)
    command.add_argument("--dry-run", action="store_true", help="only print what would be done")


def _declare_recount(subparsers: Any) -> None:
    command = subparsers.add_parser(
        "recount", help="count the events of all students anew; may run beside a server"
    )
    command.set_defaults(run=_recount)


def _declare_rebuild_influxdb(subparsers: Any) -> None:
    rebuild = subparsers.add_parser(
        "rebuild-influxdb", help="write all points again from PostgreSQL"
    )
    rebuild.set_defaults(run=_rebuild_influxdb)
    rebuild.add_argument(
        "--since", type=_time, default=datetime(1970, 1, 1, tzinfo=UTC), help="ISO 8601, inclusive"
    )
    rebuild.add_argument(
        "--until", type=_time, default=datetime(9999, 1, 1, tzinfo=UTC), help="ISO 8601, exclusive"
    )


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _migrate(arguments: argparse.Namespace, settings: Settings) -> int:
    if arguments.dry_run and (directory := missing_cluster(settings)):
        _print_creation(directory)
        return 0
    with postgres_to_migrate(settings) as address:
        asyncio.run(_migrate_database(Database(address, 1, _MIGRATE_TIMEOUT), arguments.dry_run))
    return 0


def _print_creation(directory: Path) -> None:
    """What migrating would do where there is no PostgreSQL yet."""
    print("Would create an embedded PostgreSQL in", directory)
    for migration in all_migrations():
        print("Would apply", migration.path.name)
    print(f"Would create partitions from {DAYS_BACK} days back to {MONTHS_AHEAD} months ahead")
    print(_UNCHANGED)


async def _migrate_database(database: Database, dry_run: bool) -> None:
    await database.open()
    try:
        async with database.connection() as connection:
            migrations = await missing_migrations(connection)
            partitions = await missing_partitions(connection)
            verb = "Would apply" if dry_run else "Applying"
            for migration in migrations:
                print(verb, migration.path.name)
            verb = "Would create" if dry_run else "Creating"
            for partition in partitions:
                print(verb, "partition", partition)
            if not dry_run:
                await migrate(connection)
                await create_partitions(connection)
            print(_UNCHANGED if dry_run else "The schema is up to date")
    finally:
        await database.close(5.0)


def _recount(_: argparse.Namespace, settings: Settings) -> int:
    with postgres_for_commands(settings) as address:
        try:
            done = asyncio.run(_recount_database(Database(address, 1, RECOUNT_TIMEOUT)))
        except KeyboardInterrupt as error:
            raise CommandError("Interrupted; run the command again to count all") from error
    print(f"Done: {done} students")
    return 0


async def _recount_database(database: Database) -> int:
    await database.open()
    try:
        return await recount(database, lambda done, total: print(f"{done} of {total} students"))
    finally:
        await database.close(5.0)


def _rebuild_influxdb(arguments: argparse.Namespace, settings: Settings) -> int:
    with postgres_for_commands(settings) as address:
        written = asyncio.run(
            rebuild_influxdb(
                settings=settings,
                postgres=address,
                since=arguments.since,
                until=arguments.until,
                report=lambda written: print(written, "points"),
            )
        )
    print(f"Done: {written} points")
    return 0
