"""What `run.py` does beside serving: tokens and ingest keys by command line."""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from monitor.auth import keys as ingest_keys
from monitor.auth.keys import INGEST_KEYS, IngestKeyCreate, IngestKeyFilter
from monitor.auth.principal import Principal
from monitor.auth.tokens import mint
from monitor.auth.visibility import visible
from monitor.components import trust
from monitor.database.migrations import migrate
from monitor.database.pool import ACT, Act, Database
from monitor.errors import CommandError
from monitor.settings import Settings

Postgres = Callable[[], AbstractContextManager[Mapping[str, Any]]]

_OPERATOR = Principal("admin", "command line")
_MAX_LISTED = 500


def run(given: argparse.Namespace, settings: Settings, postgres: Postgres) -> int:
    """Does what the command line says; the exit code."""
    if given.command == "mint-token":
        print(_mint(given, settings))
        return 0
    with postgres() as address:
        answer = asyncio.run(_keys(given, Database(address, 1, settings.store_timeout)))
    print(json.dumps(msgspec.to_builtins(answer), indent=2, ensure_ascii=False))
    if not settings.has_credentials:
        print("No credentials are set: the server asks for no key", file=sys.stderr)
    return 0


def declare(commands: Any) -> None:
    """Adds these commands to the subparsers of a command line."""
    token = commands.add_parser("mint-token", help="a token signed with JWT_SECRET")
    token.add_argument("name", help="who it is for: the user_id")
    token.add_argument("--role", choices=["student", "instructor", "admin"], default="admin")
    token.add_argument("--hours", type=float, default=12.0, help="how long it holds")
    keys = commands.add_parser("keys", help="ingest keys").add_subparsers(
        dest="action", required=True
    )
    create = keys.add_parser("create", help="make a key, which is shown this once")
    create.add_argument("name", help="what it is for")
    create.add_argument("--class-id", type=int, help="who posts with it is enrolled there")
    keys.add_parser("list", help="all keys")
    for name, what in (
        ("rotate", "replace a key, which holds for 24 h more"),
        ("revoke", "end it"),
    ):
        keys.add_parser(name, help=what).add_argument("key_id", type=int)


def _mint(given: argparse.Namespace, settings: Settings) -> str:
    if not settings.jwt_secret:
        raise CommandError("Set JWT_SECRET: without it there is nothing to sign a token with")
    if not given.hours > 0:
        raise CommandError("--hours must be more than 0")
    return mint(trust(settings), given.name, given.role, given.hours * 3600)


async def _keys(given: argparse.Namespace, database: Database) -> Any:
    await database.open()
    try:
        async with database.connection() as connection:
            await migrate(connection)
        if given.action != "list":
            detail = json.dumps({k: v for k, v in vars(given).items() if k not in ("command",)})
            ACT.set(Act(_OPERATOR.role, _OPERATOR.name, f"keys {given.action}", "", detail))
        async with database.transaction() as connection:
            return await _act(given, connection)
    finally:
        await database.close(5.0)


async def _act(given: argparse.Namespace, connection: Any) -> Any:
    by = _OPERATOR.name
    match given.action:
        case "create":
            body = IngestKeyCreate(given.name, given.class_id)
            return await ingest_keys.create(connection, body, by)
        case "rotate":
            return await ingest_keys.rotate(connection, given.key_id, by)
        case "revoke":
            return await ingest_keys.revoke(connection, given.key_id)
    page = IngestKeyFilter(limit=_MAX_LISTED)
    return (await INGEST_KEYS.find(connection, page, visible(INGEST_KEYS.table, _OPERATOR))).items
