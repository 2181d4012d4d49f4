"""The channels of `/ws` that a caller may subscribe to, by the table in permissions.py."""

from collections.abc import Iterable
from urllib.parse import unquote

from monitor.auth.permissions import CHANNELS, OWN, Permission
from monitor.auth.principal import Principal
from monitor.auth.visibility import all_visible, classes_of
from monitor.database.pool import Database
from monitor.errors import Forbidden
from monitor.live.channels import ALL, channel

_PERSONAL = ("progress", "notifications")
_OF_CLASSES = ("class", "notices")


async def may_subscribe(principal: Principal, names: Iterable[str], database: Database) -> None:
    """Raises Forbidden, naming the channel, and Unavailable while the database is."""
    if CHANNELS[ALL].rule(principal.role):
        return  # every channel is part of `*`
    to_verify: dict[tuple[str, str | int | None], str] = {}
    for name in names:
        template, argument, value = _parsed(name)
        rule = CHANNELS.get(template, Permission()).rule(principal.role)
        is_own = value == principal.name
        if rule is None or (argument and value is None) or (rule is OWN and not is_own):
            raise _refusal(name)
        if rule.theirs and not is_own:
            to_verify[argument, value] = name
    if to_verify:
        async with database.transaction() as connection:
            for (argument, value), name in to_verify.items():
                if not await all_visible(connection, principal, argument, {value}):
                    raise _refusal(name)


async def all_of(principal: Principal, database: Database) -> list[str]:
    """The channels of a caller who names none."""
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
    return Forbidden(f"No access to the channel {name!r}, or it does not exist")
