"""The commands for credentials: manage keys, revoke people's tokens, mint a token."""

import argparse
import asyncio
import json
import shlex
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from monitor.access import trust
from monitor.auth import audit, revocations
from monitor.auth import keys as ingest_keys
from monitor.auth.keys import INGEST_KEYS, IngestKeyCreate, IngestKeyFilter
from monitor.auth.principal import Principal
from monitor.auth.revocations import TOKEN_REVOCATIONS
from monitor.auth.tokens import mint
from monitor.auth.visibility import visible
from monitor.database.migrations import check_schema
from monitor.database.paging import Page
from monitor.database.pool import Connection, Database
from monitor.errors import CommandError
from monitor.events.event import Required
from monitor.postgres_choice import postgres_for_commands
from monitor.settings import Settings

_Act = Callable[[argparse.Namespace, Connection], Awaitable[Any]]

_OPERATOR = Principal("admin", "command line")
_MAX_LISTED = 500
_ROLES = ("student", "instructor", "admin")


def declare(subparsers: Any) -> None:
    """Adds the commands, as `monitor.commands.declare` does."""
    _declare_keys(subparsers)
    _declare_tokens(subparsers)
    _declare_mint_token(subparsers)


def _declare_keys(subparsers: Any) -> None:
    keys = subparsers.add_parser("keys", help="create, list, rotate and revoke ingest keys")
    keys.set_defaults(run=_keys, command="keys")
    actions = keys.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="create a key; it is shown only now")
    create.add_argument("name", help="what the key is for")
    create.add_argument("--class-id", type=int, help="students who post with it are enrolled there")
    actions.add_parser("list", help="list all keys")
    rotate = actions.add_parser("rotate", help="rotate a key; the old one works 24 h longer")
    rotate.add_argument("key_id", type=int)
    revoke = actions.add_parser("revoke", help="revoke a key")
    revoke.add_argument("key_id", type=int)


def _declare_tokens(subparsers: Any) -> None:
    tokens = subparsers.add_parser("tokens", help="revoke people's tokens before they expire")
    tokens.set_defaults(run=_tokens, command="tokens")
    actions = tokens.add_subparsers(dest="action", required=True, metavar="ACTION")
    revoke = actions.add_parser("revoke", help="refuse a person's tokens issued before now")
    revoke.add_argument("user_id", type=_user_id, help="the person, as the tokens name them")
    actions.add_parser("list", help="list whose tokens were revoked, and when")


def _declare_mint_token(subparsers: Any) -> None:
    token = subparsers.add_parser(
        "mint-token",
        help="sign a token for a person in a role with JWT_SECRET",
        description="Prints a token on the standard output, and for whom it is beside it.",
    )
    token.set_defaults(run=_mint_token)
    token.add_argument("name", type=_user_id, help="the user_id of the person it is for")
    token.add_argument(
        "--role",
        choices=_ROLES,
        help="what the person may do: required, there is no default",
    )
    token.add_argument(
        "--hours", type=float, default=12.0, help="how long it is valid (default: 12)"
    )


def _user_id(text: str) -> str:
    try:
        return msgspec.convert(text, Required)
    except msgspec.ValidationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _mint_token(arguments: argparse.Namespace, settings: Settings) -> int:
    if not settings.jwt_secret:
        raise CommandError("Set JWT_SECRET: a token is signed with it")
    if not arguments.hours > 0:
        raise CommandError("--hours must be more than 0")
    if not arguments.role:
        raise CommandError(
            "Say what the person may do: --role student, --role instructor or --role admin"
        )
    seconds = arguments.hours * 3600
    print(mint(trust(settings), arguments.name, arguments.role, seconds))
    print(
        f"A token for {arguments.name} as {arguments.role}, valid for {arguments.hours:g} hours."
        f" `tokens revoke {shlex.quote(arguments.name)}` ends it earlier",
        file=sys.stderr,
    )
    return 0


def _keys(arguments: argparse.Namespace, settings: Settings) -> int:
    _run_action(arguments, settings, _change_keys)
    if not settings.has_credentials:
        print("No credentials are configured: the server needs no key", file=sys.stderr)
    return 0


async def _change_keys(arguments: argparse.Namespace, connection: Connection) -> Any:
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


def _tokens(arguments: argparse.Namespace, settings: Settings) -> int:
    _run_action(arguments, settings, _change_tokens)
    return 0


async def _change_tokens(arguments: argparse.Namespace, connection: Connection) -> Any:
    if arguments.action == "revoke":
        return await revocations.revoke(connection, arguments.user_id, _OPERATOR.name)
    condition = visible(TOKEN_REVOCATIONS.table, _OPERATOR)
    page = Page(limit=_MAX_LISTED)
    return (await TOKEN_REVOCATIONS.find(connection, page, condition)).items


def _run_action(arguments: argparse.Namespace, settings: Settings, act: _Act) -> None:
    """Does what `action` says, and prints the answer as JSON."""
    with postgres_for_commands(settings) as address:
        database = Database(address, 1, settings.store_timeout)
        answer = asyncio.run(_act_and_audit(arguments, database, act))
    print(json.dumps(msgspec.to_builtins(answer), indent=2, ensure_ascii=False))


async def _act_and_audit(arguments: argparse.Namespace, database: Database, act: _Act) -> Any:
    await database.open()
    try:
        async with database.connection() as connection:
            await check_schema(connection)
        async with database.transaction() as connection:
            result = await act(arguments, connection)
            if arguments.action != "list":
                await _audit(arguments, connection)
            return result
    finally:
        await database.close(5.0)


async def _audit(arguments: argparse.Namespace, connection: Connection) -> None:
    detail = {
        name: value for name, value in vars(arguments).items() if name not in ("run", "command")
    }
    operation = f"{arguments.command} {arguments.action}"
    await audit.record(connection, _OPERATOR, operation=operation, detail=detail)
