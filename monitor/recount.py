"""Counts students' events anew: their states and the counters, beside a running server."""

import time
from collections.abc import Callable

import asyncpg

from monitor.database.migrations import check_schema
from monitor.database.pool import Database
from monitor.errors import Unavailable

RECOUNT_TIMEOUT = 3600.0  # seconds for each statement
_MAX_STUDENTS = 50  # of one transaction
_LONG = 0.5  # seconds; new events of a transaction's students wait until it ends


async def recount(database: Database, report: Callable[[int, int], None]) -> int:
    """Counts all students who have events, a few in each transaction; returns how many.

    `report` gets how many students are done and how many there are, after each transaction. Raises
    SchemaBehind where migrations are missing, and Unavailable if PostgreSQL can't be used now: what
    was reported stays.
    """
    done, last, size = 0, 0, 1
    async with database.connection() as connection:
        await check_schema(connection)
        total = await connection.fetchval(_COUNT)
        while students := await connection.fetchval(_SELECT_NEXT, last, size):
            start = time.monotonic()
            await _recount(connection, students)
            is_long = time.monotonic() - start > _LONG
            done, last = done + len(students), students[-1]
            size = max(1, size // 2) if is_long else min(2 * size, _MAX_STUDENTS)
            report(done, max(done, total))
    return done


async def _recount(connection: asyncpg.Connection, students: list[int]) -> None:
    try:
        await connection.execute("SELECT recount_students($1)", students)
    except asyncpg.InsufficientPrivilegeError as error:
        raise Unavailable(
            f"{error}: run the command as the schema's owner, or as the server's user"
        ) from error


_COUNT = "SELECT count(*) FROM students WHERE has_events"

_SELECT_NEXT = """
    SELECT array_agg(id ORDER BY id) FROM (
        SELECT id FROM students WHERE has_events AND id > $1 ORDER BY id LIMIT $2
    ) AS next
"""
