"""The students of a class, whom all questions about it are about."""

from monitor.database.reads import Reads
from monitor.errors import NotFound


async def members(reads: Reads, class_id: int) -> dict[int, str]:
    """The user_id of each student by id, without teachers and assistants. Raises NotFound."""
    rows = await reads.fetch(_SELECT_MEMBERS, class_id)
    if not rows:
        raise NotFound(f"There is no class {class_id}")
    return {row["id"]: row["user_id"] for row in rows if row["id"] is not None}


_SELECT_MEMBERS = """
    SELECT s.id, s.user_id FROM classes AS c
    LEFT JOIN student_classes AS m ON m.class_id = c.id AND m.role = 'student'
    LEFT JOIN students AS s ON s.id = m.student_id
    WHERE c.id = $1 ORDER BY s.user_id
"""
