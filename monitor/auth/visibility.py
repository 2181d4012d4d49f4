"""Row-level access: a student sees what is their own, an instructor what is of their classes."""

from collections.abc import Iterable
from typing import Any

import asyncpg

from monitor.auth.principal import Principal
from monitor.database.resource import Condition

_ATTENDS = """
    SELECT class_id FROM student_classes JOIN students ON students.id = student_id
    WHERE students.user_id = {user} AND role <> 'waiting'
"""
_TEACHES = "SELECT class_id FROM teaching WHERE user_id = {user}"
_TEACHES_AS_TEACHER = """
    SELECT class_id FROM student_classes JOIN students ON students.id = student_id
    WHERE students.user_id = {user} AND role = 'teacher'
"""
_TAUGHT = (
    "SELECT student_id FROM student_classes WHERE role = 'student' AND class_id IN ({teaches})"
)

_ROWS = {
    "classes": {
        "student": "classes.id IN ({attends})",
        "instructor": "classes.id IN ({teaches})",
    },
    "class_assignments": {
        "student": "class_id IN ({attends})",
        "instructor": "class_id IN ({teaches})",
    },
    "assignment_submissions": {
        "student": "student_id IN (SELECT id FROM students WHERE user_id = {user})",
        "instructor": """
            assignment_id IN (SELECT id FROM class_assignments WHERE class_id IN ({teaches}))
        """,
    },
    "students": {
        "student": "user_id = {user}",
        "instructor": "(user_id = {user} OR students.id IN ({taught}))",
    },
    "notebooks": {
        "student": """
            id IN (SELECT notebook_id FROM class_assignments WHERE class_id IN ({attends}))
        """,
        "instructor": "notebooks.class_id IN ({teaches})",
    },
    "ingest_keys": {"instructor": "class_id IN ({teaches})"},
    "student_tokens": {
        "student": "student_id IN (SELECT id FROM students WHERE user_id = {user})",
        "instructor": "class_id IN ({teaches})",
    },
    "withdrawals": {"instructor": "class_id IN ({teaches})"},
    "notification_receivers": {"instructor": "class_id IN ({teaches})"},
    "rejected_events": {"instructor": "class_id IN ({teaches})"},
}

# The table and column that an argument of a call refers to, in path, query and body alike.
_NAMED = {
    "class_id": ("classes", "id"),
    "assignment_id": ("class_assignments", "id"),
    "submission_id": ("assignment_submissions", "id"),
    "student_id": ("students", "id"),
    "user_id": ("students", "user_id"),
    "notebook_id": ("notebooks", "id"),
    "key_id": ("ingest_keys", "id"),
    "token_id": ("student_tokens", "id"),
    "withdrawal_id": ("withdrawals", "id"),
    "receiver_id": ("notification_receivers", "id"),
    "letter_id": ("rejected_events", "id"),
    "from_class_id": ("classes", "id"),
}
NAMES = frozenset(_NAMED)


def visible_rows(table: str, principal: Principal, user: str, *, as_teacher: bool = False) -> str:
    """The SQL condition for the rows that a caller sees; `user` is the parameter for their name.

    With `as_teacher` an instructor sees only what is of the classes in which they are a teacher,
    not an assistant. All names in it come from this module.
    """
    if principal.role == "admin":
        return f"{user}::text IS NOT NULL"
    condition = _ROWS[table].get(principal.role, "{user}::text IS NULL")
    attends = _ATTENDS.format(user=user)
    teaches = (_TEACHES_AS_TEACHER if as_teacher else _TEACHES).format(user=user)
    taught = _TAUGHT.format(teaches=teaches)
    return condition.format(user=user, attends=attends, teaches=teaches, taught=taught)


def visible(table: str, principal: Principal) -> Condition:
    """The condition that limits a list to the rows that a caller sees."""
    return Condition(visible_rows(table, principal, "{0}"), principal.name)


async def all_visible(
    connection: asyncpg.Connection,
    principal: Principal,
    name: str,
    values: set[Any],
    *,
    as_teacher: bool = False,
) -> bool:
    """Whether each of these values of the argument `name` has a row that the caller sees."""
    table, column = _NAMED[name]
    condition = visible_rows(table, principal, "$2", as_teacher=as_teacher)
    query = _COUNT.format(table=table, column=column, condition=condition)
    count: int = await connection.fetchval(query, list(values), principal.name)
    return count == len(values)


async def classes_of(connection: asyncpg.Connection, principal: Principal) -> list[int]:
    """The ids of the classes that a caller sees, in ascending order."""
    query = _SELECT_CLASSES.format(condition=visible_rows("classes", principal, "$1"))
    return [row["id"] for row in await connection.fetch(query, principal.name)]


async def classes_shared(
    connection: asyncpg.Connection, principal: Principal, user_ids: Iterable[str]
) -> dict[str, list[int]]:
    """The ids of the classes in which an instructor teaches each of these students, if any."""
    classes: dict[str, list[int]] = {}
    for row in await connection.fetch(_SELECT_SHARED, list(user_ids), principal.name):
        classes.setdefault(row["user_id"], []).append(row["class_id"])
    return classes


_SELECT_SHARED = """
    SELECT s.user_id, m.class_id FROM students AS s JOIN student_classes AS m ON m.student_id = s.id
    WHERE s.user_id = ANY($1::text[]) AND m.role = 'student'
        AND m.class_id IN (SELECT t.class_id FROM teaching AS t WHERE t.user_id = $2)
"""

_SELECT_CLASSES = "SELECT id FROM classes WHERE {condition} ORDER BY id"

_COUNT = "SELECT count(*) FROM {table} WHERE {table}.{column} = ANY($1) AND {condition}"
