"""The commands besides `serve`: migrate, recount, manage keys, mint tokens, rebuild InfluxDB.

Only migrate changes the schema, or creates the embedded PostgreSQL.
"""

import argparse
import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from monitor.auth import audit
from monitor.auth import keys as ingest_keys
from monitor.auth.keys import INGEST_KEYS, IngestKeyCreate, IngestKeyFilter
from monitor.auth.principal import Principal
from monitor.auth.tokens import mint
from monitor.auth.visibility import visible
from monitor.components import trust
from monitor.database.migrations import (
    all_migrations,
    check_schema,
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

_OPERATOR = Principal("admin", "command line")
_MAX_LISTED = 500
_UNCHANGED = "Nothing was changed"
_MIGRATE_TIMEOUT = 60.0  # seconds for each statement except those of migrations


def declare(subparsers: Any) -> None:
    """Adds the commands to the `subparsers` of a command line.

    Each sets `run` to its function, which gets the parsed arguments and the settings and returns
    the exit code.
    """
    _declare_migrate(subparsers)
    _declare_recount(subparsers)
    _declare_keys(subparsers)
    _declare_mint_token(subparsers)
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


def _declare_keys(subparsers: Any) -> None:
    keys = subparsers.add_parser("keys", help="create, list, rotate and revoke ingest keys")
    keys.set_defaults(run=_keys)
    actions = keys.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="create a key; it is shown only now")
    create.add_argument("name", help="what the key is for")
    create.add_argument("--class-id", type=int, help="students who post with it are enrolled there")
    actions.add_parser("list", help="list all keys")
    rotate = actions.add_parser("rotate", help="rotate a key; the old one works 24 h longer")
    rotate.add_argument("key_id", type=int)
    revoke = actions.add_parser("revoke", help="revoke a key")
    revoke.add_argument("key_id", type=int)


def _declare_mint_token(subparsers: Any) -> None:
    token = subparsers.add_parser("mint-token", help="sign a token with JWT_SECRET")
    token.set_defaults(run=_mint_token)
    token.add_argument("name", help="the user_id of the person it is for")
    token.add_argument("--role", choices=["student", "instructor", "admin"], default="admin")
    token.add_argument("--hours", type=float, default=12.0, help="how long it is valid")


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


def _mint_token(arguments: argparse.Namespace, settings: Settings) -> int:
    if not settings.jwt_secret:
        raise CommandError("Set JWT_SECRET: a token is signed with it")
    if not arguments.hours > 0:
        raise CommandError("--hours must be more than 0")
    seconds = arguments.hours * 3600
    print(mint(trust(settings), arguments.name, arguments.role, seconds))
    return 0


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


def _keys(arguments: argparse.Namespace, settings: Settings) -> int:
    with postgres_for_commands(settings) as address:
        answer = asyncio.run(_change_keys(arguments, Database(address, 1, settings.store_timeout)))
    print(json.dumps(msgspec.to_builtins(answer), indent=2, ensure_ascii=False))
    if not settings.has_credentials:
        print("No credentials are configured: the server needs no key", file=sys.stderr)
    return 0


async def _change_keys(arguments: argparse.Namespace, database: Database) -> Any:
    await database.open()
    try:
        async with database.connection() as connection:
            await check_schema(connection)
        async with database.transaction() as connection:
            result = await _run_action(arguments, connection)
            if arguments.action != "list":
                detail = {key: value for key, value in vars(arguments).items() if key != "run"}
                operation = f"keys {arguments.action}"
                await audit.record(connection, _OPERATOR, operation=operation, detail=detail)
            return result
    finally:
        await database.close(5.0)


async def _run_action(arguments: argparse.Namespace, connection: Any) -> Any:
    by = _OPERATOR.name
    match arguments.action:
        case "create":
            body = IngestKeyCreate(arguments.name, arguments.class_id)
            return await ingest_keys.create(connection, body, by)
        case "rotate":
            return await ingest_keys.rotate(connection, arguments.key_id, by)
        case "revoke":
            return await ingest_keys.revoke(connection, arguments.key_id)
    page = IngestKeyFilter(limit=_MAX_LISTED)
    return (await INGEST_KEYS.find(connection, page, visible(INGEST_KEYS.table, _OPERATOR))).items
