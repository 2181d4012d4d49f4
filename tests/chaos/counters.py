"""Counters, compared with the rows that they count."""

from tests.chaos.site import Site


async def is_counted(site: Site) -> bool:
    """Whether the server has counted every batch."""
    connection = await site.connect()
    try:
        return bool(await connection.fetchval(_IS_COUNTED))
    finally:
        await connection.close()


async def counters_off(site: Site, prefix: str) -> list[str]:
    """Which counters of a lesson's students, or of the ledger, differ from the rows."""
    connection = await site.connect()
    try:
        differing = [
            f"{name}, {tuple(row)}"
            for name, query in _COUNTERS.items()
            for row in await connection.fetch(query, f"{prefix}-%")
        ]
        stored, rows = await connection.fetchrow(_LEDGER)
    finally:
        await connection.close()
    return differing + ([f"ledger, {stored}, {rows}"] if stored != rows else [])


_IS_COUNTED = """
    SELECT NOT EXISTS (SELECT FROM outbox_counts) AND NOT EXISTS (SELECT FROM outbox_recounts)
"""
_LESSON = "student_id IN (SELECT id FROM students WHERE user_id LIKE $1)"
_EXECUTIONS = f"""
    cell_executions WHERE status <> 'rendered' AND excluded IS NULL AND {_LESSON}
"""
_ERRORS = "count(*) FILTER (WHERE status = 'error')"


def _differing(key: str, counted: str, found: str) -> str:
    """Rows of `key`, what was counted and what is found, where they differ."""
    return f"""
        SELECT {key}, counted.numbers AS counted, found.numbers AS found
        FROM ({counted}) AS counted FULL JOIN ({found}) AS found USING ({key})
        WHERE COALESCE(counted.numbers, {_NONE}) <> COALESCE(found.numbers, {_NONE})
    """


_NONE = "ARRAY[0, 0, 0]::bigint[]"
_COUNTERS = {
    "student_states": _differing(
        "student_id, class_id",
        f"SELECT student_id, class_id, ARRAY[executions, errors, 0]::bigint[] AS numbers"
        f" FROM student_states WHERE {_LESSON}",
        f"SELECT student_id, class_id, ARRAY[count(*), {_ERRORS}, 0] AS numbers"
        f" FROM {_EXECUTIONS} GROUP BY student_id, class_id",
    ),
    "cell_progress": _differing(
        "student_id, alias_id, cell_id",
        f"SELECT student_id, alias_id, cell_id, ARRAY[executions, errors, 0]::bigint[] AS numbers"
        f" FROM cell_progress WHERE {_LESSON}",
        f"SELECT student_id, alias_id, cell_id, ARRAY[count(*), {_ERRORS}, 0] AS numbers"
        f" FROM {_EXECUTIONS} AND cell_id IS NOT NULL GROUP BY student_id, alias_id, cell_id",
    ),
    "student_activity": _differing(
        "student_id, class_id, step",
        f"SELECT student_id, class_id, step,"
        f" ARRAY[sum(executions), sum(errors), sum(helps)]::bigint[] AS numbers"
        f" FROM student_activity_counts WHERE {_LESSON} GROUP BY student_id, class_id, step",
        f"""SELECT student_id, class_id, step,
                ARRAY[sum(ran), sum(failed), sum(helped)]::bigint[] AS numbers
            FROM (
                SELECT student_id, class_id, 1 AS ran, (status = 'error')::integer AS failed,
                    0 AS helped FROM {_EXECUTIONS}
                UNION ALL
                SELECT student_id, class_id, 0, 0, 1
                FROM events WHERE event_type = 'help' AND excluded IS NULL AND {_LESSON}
            ) AS events CROSS JOIN (VALUES (60), (3600)) AS steps (step)
            GROUP BY student_id, class_id, step""",
    ),
}
_LEDGER = """
    SELECT (SELECT sum(stored)::bigint FROM ledger),
        (SELECT count(*) FROM cell_executions) + (SELECT count(*) FROM notebook_accesses)
            + (SELECT count(*) FROM events)
"""
