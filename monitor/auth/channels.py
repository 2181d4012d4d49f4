"""The channels of `/ws` that a caller may subscribe to, by the table in permissions.py."""

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote

from monitor.auth.permissions import CHANNELS, OWN, Permission
from monitor.auth.principal import Principal
from monitor.auth.visibility import classes_of, classes_shared
from monitor.database.pool import Database
from monitor.errors import Forbidden
from monitor.live.channels import ALL, Carriers, channel, in_class

_PERSONAL = ("progress", "notifications")
_OF_CLASSES = ("class", "notices")
_NOTHING: frozenset[str] = frozenset()


class _Channel(NamedTuple):
    """A channel's name in the table, and what it is of."""

    template: str
    user_id: str | None = None
    class_id: int | None = None

    @property
    def is_incomplete(self) -> bool:
        return "{" in self.template and self.user_id is None and self.class_id is None


async def carriers(principal: Principal, names: list[str], database: Database) -> Carriers:
    """What carries each of these channels to the caller: nothing where they may not subscribe.

    A teacher has `progress:{user_id}` of each class in which they teach the student, and nothing
    of others. Raises Unavailable while the database is.
    """
    if CHANNELS[ALL].rule(principal.role):
        return plain(names)  # every channel is part of `*`
    carried: dict[str, frozenset[str]] = {}
    others: dict[str, _Channel] = {}  # of which the database says whose they are
    for name in names:
        each = _parsed(name)
        rule = CHANNELS.get(each.template, Permission()).rule(principal.role)
        is_own = each.user_id == principal.name
        if rule is None or each.is_incomplete or (rule is OWN and not is_own):
            carried[name] = _NOTHING
        elif rule.theirs and not is_own:
            others[name] = each
        else:
            carried[name] = frozenset([name])
    carried |= await _carriers_of_others(principal, others, database)
    return {name: carried[name] for name in names}


def plain(names: Iterable[str]) -> Carriers:
    """Channels that are carried by the hub's channels of the same names."""
    return {name: frozenset([name]) for name in names}


def refusal(name: str) -> Forbidden:
    """The error for a channel that the caller may not subscribe to."""
    return Forbidden(f"No access to the channel {name!r}, or it does not exist")


async def all_of(principal: Principal, database: Database) -> list[str]:
    """The channels of a caller who names none."""
    if CHANNELS[ALL].rule(principal.role):
        return [ALL]
    async with database.transaction() as connection:
        classes = await classes_of(connection, principal)
    own = [channel(kind, principal.name) for kind in _PERSONAL]
    kinds = _OF_CLASSES if principal.role == "instructor" else ("notices",)
    return ["broadcast", *own, *(f"{kind}:{each}" for each in classes for kind in kinds)]


async def _carriers_of_others(
    principal: Principal, channels: dict[str, _Channel], database: Database
) -> Carriers:
    if not channels:
        return {}
    user_ids = {each.user_id for each in channels.values() if each.user_id is not None}
    async with database.transaction() as connection:
        classes = set(await classes_of(connection, principal))
        shared = {}
        if principal.role == "instructor":
            shared = await classes_shared(connection, principal, user_ids)
    carried = {}
    for name, each in channels.items():
        if each.user_id is not None:
            own = channel("progress", each.user_id)
            ids = shared.get(each.user_id, [])
            carried[name] = frozenset(in_class(own, class_id) for class_id in ids)
        else:
            carried[name] = frozenset([name]) if each.class_id in classes else _NOTHING
    return carried


def _parsed(name: str) -> _Channel:
    kind, _, value = name.partition(":")
    if kind in _PERSONAL and value != "*":
        return _Channel(f"{kind}:{{user_id}}", user_id=unquote(value) or None)
    if kind in _OF_CLASSES:
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None
        return _Channel(f"{kind}:{{class_id}}", class_id=number)
    return _Channel(name)
