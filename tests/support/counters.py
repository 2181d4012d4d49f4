"""The tables of counters, with names instead of ids."""

from typing import Any

import asyncpg

CELLS = """
    SELECT s.user_id, c.cell_id, p.executions, p.errors, p.first_error_at, p.last_error_at,
        p.first_success_at, p.errors_before_success, p.durations::text
    FROM cell_progress AS p JOIN students AS s ON s.id = p.student_id
    JOIN cells AS c ON c.id = p.cell_id AND c.notebook_id = p.notebook_id
"""
ACTIVITY = """
    SELECT user_id, step, start, a.executions::text, a.errors::text, a.helps::text
    FROM student_activity AS a JOIN students AS s ON s.id = a.student_id
"""


async def rows_of(pool: asyncpg.Pool, query: str) -> set[tuple[Any, ...]]:
    """The rows of a query, which must be distinct."""
    rows = await pool.fetch(query)
    assert len(set(rows)) == len(rows)
    return set(map(tuple, rows))
