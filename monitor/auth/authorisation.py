"""Checks that a caller may use a call's arguments, and the rows that they name."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from monitor.auth.permissions import Rule
from monitor.auth.principal import Principal
from monitor.auth.visibility import NAMES, all_visible
from monitor.database.pool import Connection
from monitor.errors import Forbidden

Names = Mapping[str, set[Any]]  # values by the name of an argument that identifies rows
Lock = Literal["SHARE", "NO KEY UPDATE", "UPDATE"]

# A call takes the strongest lock that it may need at once: two calls that upgraded a lock they
# share would deadlock.
_LOCKS: Mapping[str, Lock] = {"POST": "SHARE", "PUT": "NO KEY UPDATE", "DELETE": "UPDATE"}

# Of the classes named. A foreign key's lock is as weak as the first: the pipeline, which enrols
# students, waits for neither.
_CLASS_LOCKS: Mapping[Lock, str] = {
    "SHARE": "KEY SHARE",
    "NO KEY UPDATE": "NO KEY UPDATE",
    "UPDATE": "NO KEY UPDATE",
}


def names_to_verify(rule: Rule, arguments: Mapping[str, Any]) -> Names:
    """Checks the arguments by themselves; returns what `verify` has to look up in the database.

    Raises Forbidden.
    """
    if not (rule.theirs or rule.required or rule.forbidden_fields):
        return {}
    names = _names(arguments)
    for name in rule.required:
        if not names.get(name):
            raise Forbidden(f"{name} is required for non-administrators")
    body: Any = arguments.get("body")
    for field in msgspec.structs.fields(body) if rule.forbidden_fields else ():
        if field.name in rule.forbidden_fields and getattr(body, field.name) != field.default:
            raise Forbidden(f"Only an instructor may set {field.name}")
    if not rule.theirs:
        return {}
    return {name: values for name, values in names.items() if name not in rule.exempt}


async def verify(
    connection: Connection,
    principal: Principal,
    names: Names,
    lock: Lock | None,
    *,
    as_teacher: bool = False,
) -> None:
    """Raises Forbidden unless all rows named exist and are visible to the caller.

    With a lock, the rows that this depends on can't change before the transaction ends; without
    one, the transaction has to be a snapshot.
    """
    if lock and names:
        await _hold(connection, principal, names, lock)
    for name, values in names.items():
        if not await all_visible(connection, principal, name, values, as_teacher=as_teacher):
            raise Forbidden(f"No access to this {name}, or it does not exist")


def lock_of(method: str, rule: Rule) -> Lock | None:
    """The lock that a call by this HTTP method takes; None where it only reads."""
    return _LOCKS.get("PUT" if rule.changes else method)


async def _hold(connection: Connection, principal: Principal, names: Names, lock: Lock) -> None:
    """Locks the rows that visibility follows from and that can change.

    These are memberships, the caller's and those of the students named, and assignments, which can
    be moved to another class. Submissions and keys never change hands. Classes come first: deleting
    one deletes the memberships that other calls for the class hold. READ COMMITTED with these
    locks rather than REPEATABLE READ: the latter would fail whenever the pipeline has updated a
    student meanwhile, and the handlers' own locks rely on a new snapshot for each statement. The
    pipeline waits for none of these locks.
    """
    if classes := list(names.get("class_id", ())):
        await connection.execute(_HOLD_CLASSES.format(lock=_CLASS_LOCKS[lock]), classes)
    students = list(names.get("student_id", ()))
    user_ids = [principal.name, *names.get("user_id", ())]
    await connection.execute(_HOLD_MEMBERSHIPS.format(lock=lock), students, user_ids)
    assignments = list(names.get("assignment_id", ()))
    submissions = list(names.get("submission_id", ()))
    if assignments or submissions:
        await connection.execute(_HOLD_ASSIGNMENTS.format(lock=lock), assignments, submissions)


def _names(arguments: Mapping[str, Any]) -> dict[str, set[Any]]:
    """The values in the path, the query and the body that identify rows, by argument name."""
    names: dict[str, set[Any]] = {}
    for argument, value in arguments.items():
        for part in value if isinstance(value, list) else [value]:
            fields = (
                msgspec.structs.asdict(part)
                if isinstance(part, msgspec.Struct)
                else {argument: part}
            )
            for name in NAMES & fields.keys():
                if fields[name] not in (None, msgspec.UNSET):
                    names.setdefault(name, set()).add(fields[name])
    return names


# Each in the order of its keys, to avoid deadlocks.
_HOLD_CLASSES = "SELECT FROM classes WHERE id = ANY($1::bigint[]) ORDER BY id FOR {lock}"

_HOLD_MEMBERSHIPS = """
    SELECT FROM student_classes WHERE student_id IN (
        SELECT id FROM students WHERE id = ANY($1::bigint[]) OR user_id = ANY($2::text[])
    )
    ORDER BY student_id, class_id FOR {lock}
"""

_HOLD_ASSIGNMENTS = """
    SELECT FROM class_assignments WHERE id = ANY($1::bigint[]) OR id IN (
        SELECT assignment_id FROM assignment_submissions WHERE id = ANY($2::bigint[])
    )
    ORDER BY id FOR {lock}
"""
