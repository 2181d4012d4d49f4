"""Whose a row is: a student's own, or of an instructor's classes."""

from typing import Any

import asyncpg

from monitor.auth.principal import Principal
from monitor.database.resource import Condition

_ATTENDS = """
    SELECT class_id FROM student_classes JOIN students ON students.id = student_id
    WHERE students.user_id = {user}
"""
_TEACHES = "SELECT class_id FROM teaching WHERE user_id = {user}"
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
    # What neither an event nor an assignment has named tells nothing of another class.
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

# What an argument of a call names, wherever in the call it stands.
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


def theirs(table: str, principal: Principal, user: str) -> str:
    """The condition that keeps a query to rows that are theirs; `user` stands for their name."""
    if principal.role == "admin":
        return f"{user}::text IS NOT NULL"
    condition = _ROWS[table].get(principal.role, "{user}::text IS NULL")
    attends, teaches = _ATTENDS.format(user=user), _TEACHES.format(user=user)
    taught = _TAUGHT.format(teaches=teaches)
    return condition.format(user=user, attends=attends, teaches=teaches, taught=taught)


def visible(table: str, principal: Principal) -> Condition:
    """The condition that keeps a list to the rows that are theirs."""
    return Condition(theirs(table, principal, "{0}"), principal.name)


async def are_theirs(
    connection: asyncpg.Connection, principal: Principal, name: str, values: set[Any]
) -> bool:
    """Whether all that these values of an argument name is there, and theirs."""
    table, column = _NAMED[name]
    query = _COUNT.format(table=table, column=column, condition=theirs(table, principal, "$2"))
    found: int = await connection.fetchval(query, list(values), principal.name)
    return found == len(values)


async def classes_of(connection: asyncpg.Connection, principal: Principal) -> list[int]:
    query = _SELECT_CLASSES.format(condition=theirs("classes", principal, "$1"))
    return [row["id"] for row in await connection.fetch(query, principal.name)]


_SELECT_CLASSES = "SELECT id FROM classes WHERE {condition} ORDER BY id"

_COUNT = "SELECT count(*) FROM {table} WHERE {table}.{column} = ANY($1) AND {condition}"
