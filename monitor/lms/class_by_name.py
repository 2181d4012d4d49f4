"""Finds a class by its name, or makes it: for a teacher who runs the server themselves."""

import secrets

import asyncpg

from monitor.lms.classes import CLASSES
from monitor.lms.enrolment import appoint


async def ensure_class(connection: asyncpg.Connection, name: str, teacher: str) -> int:
    """The id of an active class of that name whose teacher is `teacher`, a user_id.

    A class without a teacher gets this one; if all such classes have others, a new class is made.
    """
    class_id: int | None = await connection.fetchval(_SELECT, name, teacher)
    if class_id is None:
        code = f"class-{secrets.token_hex(4)}"
        class_id = (await CLASSES.insert(connection, {"name": name, "class_code": code})).id
    await appoint(connection, class_id, teacher)
    return class_id


_SELECT = """
    SELECT id FROM classes WHERE name = $1 AND is_active
        AND (id IN (SELECT class_id FROM teaching WHERE user_id = $2)
            OR NOT EXISTS (SELECT FROM teaching WHERE class_id = classes.id))
    ORDER BY id LIMIT 1
"""
