"""Row-level access: a student sees what is their own, an instructor what is of their classes."""

from typing import Any

import asyncpg

from monitor.auth.principal import Principal
from monitor.database.resource import Condition

_ATTENDS = """
    SELECT class_id FROM student_classes JOIN students ON students.id = student_id
    WHERE students.user_id = {user}
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
    # A notebook without events and assignments reveals nothing about another class.
    "notebooks": {
        "student": """
            id IN (SELECT notebook_id FROM class_assignments WHERE class_id IN ({attends}))
        """,
        "instructor": """(
            id IN (SELECT notebook_id FROM class_assignments WHERE class_id IN ({teaches}))
            OR id IN (
                SELECT notebook_id FROM cell_progress WHERE student_id IN ({taught})
            )
            OR NOT has_events
            AND NOT EXISTS (SELECT FROM class_assignments WHERE notebook_id = notebooks.id)
        )""",
    },
    "ingest_keys": {"instructor": "class_id IN ({teaches})"},
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


_SELECT_CLASSES = "SELECT id FROM classes WHERE {condition} ORDER BY id"

_COUNT = "SELECT count(*) FROM {table} WHERE {table}.{column} = ANY($1) AND {condition}"
