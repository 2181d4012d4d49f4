"""The tables of counters, with names instead of ids."""

from typing import Any

import asyncpg

CELLS = """
    SELECT s.user_id, c.cell_id, p.executions, p.errors, p.first_error_at, p.last_error_at,
        p.first_success_at, p.errors_before_success, p.durations::text
    FROM cell_progress AS p JOIN students AS s ON s.id = p.student_id
    JOIN cells AS c ON c.id = p.cell_id AND c.alias_id = p.alias_id
"""
ACTIVITY = """
    SELECT user_id, step, start, a.executions::text, a.errors::text, a.helps::text
    FROM student_activity AS a JOIN students AS s ON s.id = a.student_id
"""
# Everything that recount_students makes, by table.
_COUNTED = {
    "student_states": "SELECT * FROM student_states",
    "cell_progress": """
        SELECT student_id, alias_id, cell_id, executions, errors, first_error_at, last_error_at,
            first_success_at, errors_before_success, durations::text,
            position, position_at, type, type_at, code_hash, code_at, first_at, last_at
        FROM cell_progress
    """,
    "cell_errors": "SELECT * FROM cell_errors",
    "student_activity": """
        SELECT student_id, class_id, step, start, executions::text, errors::text, helps::text
        FROM student_activity
    """,
}


async def counted(pool: asyncpg.Pool) -> dict[str, set[tuple[Any, ...]]]:
    """The rows of each table that recount_students makes."""
    return {table: await rows_of(pool, query) for table, query in _COUNTED.items()}


async def rows_of(pool: asyncpg.Pool, query: str) -> set[tuple[Any, ...]]:
    """The rows of a query, which must be distinct."""
    rows = [tuple(map(_hashable, row)) for row in await pool.fetch(query)]
    assert len(set(rows)) == len(rows)
    return set(rows)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
