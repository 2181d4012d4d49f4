"""Builds the indexes of finished months anew: clustering leaves room in them that nothing uses."""

import asyncpg

_TIMEOUT = 600.0  # seconds to rebuild an index; one of a million rows takes a few


async def rebuild_next(connection: asyncpg.Connection) -> bool:
    """Rebuilds those of the earliest month that is over and not rebuilt yet, beside all else.

    Returns False where there is none, this user doesn't own it, or somebody else is doing it.
    `connection` must not be in a transaction. A rebuild that was ended is begun again.
    """
    if not await connection.fetchval(_LOCK):
        return False
    try:
        month = await connection.fetchrow(_SELECT_MONTH)
        if month is None:
            return False
        for index in await connection.fetch(_SELECT_UNFINISHED, month["oid"]):
            await connection.execute(f"DROP INDEX CONCURRENTLY {index['name']}", timeout=_TIMEOUT)
        await connection.execute(_ONE_PROCESS)
        for index in await connection.fetch(_SELECT_INDEXES, month["oid"]):
            statement = f"REINDEX INDEX CONCURRENTLY {index['name']}"
            await connection.execute(statement, timeout=_TIMEOUT)
        await connection.execute(_NOTE, month["ends_on"])
        return True
    finally:
        if not connection.is_closed():
            await connection.execute("RESET max_parallel_maintenance_workers")
            await connection.execute(_UNLOCK)


_LOCK = "SELECT pg_try_advisory_lock(hashtext('cell-monitor indexes'))"

_UNLOCK = "SELECT pg_advisory_unlock(hashtext('cell-monitor indexes'))"

_ONE_PROCESS = "SET max_parallel_maintenance_workers = 0"  # the others are for what waits

_SELECT_MONTH = r"""
    SELECT * FROM (
        SELECT c.oid, c.oid::regclass::text AS name,
            (to_date(right(relname, 7), 'YYYY_MM') + interval '1 month')::date AS ends_on
        FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid
        WHERE inhparent = 'cell_executions'::regclass AND relname ~ '_\d{4}_\d\d$'
            AND pg_has_role(relowner, 'USAGE') AND pg_relation_size(c.oid) > 0
            AND NOT EXISTS (  -- an administrator may be rebuilding them, or autovacuum is at work
                SELECT FROM pg_locks
                WHERE relation = c.oid AND mode = 'ShareUpdateExclusiveLock' AND granted
            )
    ) AS months CROSS JOIN clustered
    WHERE ends_on > rebuilt_until AND ends_on <= (day AT TIME ZONE 'UTC')::date
    ORDER BY ends_on LIMIT 1
"""

_SELECT_UNFINISHED = r"""
    SELECT indexrelid::regclass::text AS name FROM pg_index JOIN pg_class ON oid = indexrelid
    WHERE indrelid = $1 AND NOT indisvalid AND relname ~ '_cc(new|old)\d*$'
"""

# One by one: with the table's, REINDEX TABLE would rebuild that of its TOAST table, of which only a
# superuser can remove what an ended rebuild leaves.
_SELECT_INDEXES = """
    SELECT indexrelid::regclass::text AS name FROM pg_index
    WHERE indrelid = $1 AND indisvalid ORDER BY indexrelid
"""

_NOTE = "UPDATE clustered SET rebuilt_until = $1"
