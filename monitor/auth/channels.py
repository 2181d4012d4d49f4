"""Which channels of `/ws` a caller may listen to; the table of access says which roles may."""

from collections.abc import Iterable
from urllib.parse import unquote

from monitor.auth.permissions import CHANNELS, OWN, Permission
from monitor.auth.principal import Principal
from monitor.auth.visibility import are_theirs, classes_of
from monitor.database.pool import Database
from monitor.errors import Forbidden
from monitor.live.channels import ALL, channel

_PERSONAL = ("progress", "notifications")
_OF_CLASSES = ("class", "notices")


async def may_subscribe(principal: Principal, names: Iterable[str], database: Database) -> None:
    """Raises Forbidden, naming the channel, and Unavailable when it can't be said now."""
    if CHANNELS[ALL].rule(principal.role):
        return  # who may hear everything may hear it by any name
    named: dict[tuple[str, str | int | None], str] = {}
    for name in names:
        template, argument, value = _parsed(name)
        rule = CHANNELS.get(template, Permission()).rule(principal.role)
        is_own = value == principal.name
        if rule is None or (argument and value is None) or (rule is OWN and not is_own):
            raise _refusal(name)
        if rule.theirs and not is_own:
            named[argument, value] = name
    if named:
        async with database.transaction() as connection:
            for (argument, value), name in named.items():
                if not await are_theirs(connection, principal, argument, {value}):
                    raise _refusal(name)


async def all_of(principal: Principal, database: Database) -> list[str]:
    """What a caller listens to who names no channel."""
    if CHANNELS[ALL].rule(principal.role):
        return [ALL]
    async with database.transaction() as connection:
        classes = await classes_of(connection, principal)
    own = [channel(kind, principal.name) for kind in _PERSONAL]
    kinds = _OF_CLASSES if principal.role == "instructor" else ("notices",)
    return ["broadcast", *own, *(f"{kind}:{each}" for each in classes for kind in kinds)]


def _parsed(name: str) -> tuple[str, str, str | int | None]:
    """The channel's name in the table, the argument in it, and that argument's value."""
    kind, _, value = name.partition(":")
    if kind in _PERSONAL and value != "*":
        return f"{kind}:{{user_id}}", "user_id", unquote(value) or None
    if kind in _OF_CLASSES:
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None
        return f"{kind}:{{class_id}}", "class_id", number
    return name, "", None


def _refusal(name: str) -> Forbidden:
    return Forbidden(f"The channel {name!r} is not yours, or it is not there")
