"""What the tables say, with names instead of ids, as the model says it."""

import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

import asyncpg

from tests.chaos.reckoning import point_time
from tests.model.plain import Row


class Tables(NamedTuple):
    """The rows by event id, those whose points are neither written nor named by the outbox, and
    the counters."""

    rows: dict[uuid.UUID, Row]
    without_point: set[uuid.UUID]
    states: dict[tuple[str, ...], tuple[int, int]]
    cells: dict[tuple[str, ...], tuple[int, int]]
    activity: dict[tuple[str, ...], tuple[int, int, int]]
    ledger: tuple[int, int]  # stored, withdrawn


async def read(connection: asyncpg.Connection, lines: set[str]) -> Tables:
    written = {_point(line) for line in lines}
    records = await connection.fetch(_ROWS)
    without_point = {
        record["id"]
        for record in records
        if not (record["withdrawn"] or record["in_outbox"])
        and (record["student"], point_time(record["at"], record["id"])) not in written
    }
    return Tables(
        {record["id"]: _row(record) for record in records},
        without_point,
        _counted(await connection.fetch(_STATES)),
        _counted(await connection.fetch(_CELLS)),
        _counted(await connection.fetch(_ACTIVITY)),
        tuple(await connection.fetchrow(_LEDGER)),
    )


def _row(record: Mapping[str, Any]) -> Row:
    names = ("id", "type", "student", "class_code", "session", "notebook", "cell", "key")
    values = {name: record[name] for name in names}
    return Row(**values, time=record["at"], withdrawn=record["withdrawn"])


def _point(line: str) -> tuple[str, int]:
    head, _, time = line.rpartition(" ")
    return head.partition(",userId=")[2].partition(" ")[0], int(time)


def _counted(records: list[asyncpg.Record]) -> dict[tuple[str, ...], Any]:
    """The array of numbers at the end of each record, by the names before it."""
    return {tuple(record[:-1]): tuple(record[-1]) for record in records}


_HOMES = " UNION ALL ".join(
    f"SELECT event_id, event_type, {time} AS at, student_id, class_id, session_id, alias_id,"
    f" cell_id, credential, excluded FROM {table}"
    for table, time in (
        ("cell_executions", "executed_at"),
        ("notebook_accesses", "accessed_at"),
        ("events", "event_time"),
    )
)
# Ids that don't belong together are shown as a name that no event has.
_ROWS = f"""
    SELECT event_id AS id, event_type AS type, at, user_id AS student,
        CASE WHEN h.class_id = 0 THEN '' ELSE COALESCE(class_code, 'unknown') END AS class_code,
        CASE WHEN s.student_id = h.student_id THEN s.session_id ELSE 'wrong' END AS session,
        CASE WHEN a.class_id = h.class_id THEN a.path ELSE 'wrong' END AS notebook,
        CASE WHEN c.alias_id = h.alias_id THEN c.cell_id ELSE 'wrong' END AS cell,
        credential IS NOT NULL AS key, excluded IS NOT DISTINCT FROM 'withdrawn' AS withdrawn,
        EXISTS (
            SELECT FROM outbox_points AS o, unnest(o.student_ids, o.first_times, o.last_times)
                AS span (student, first, last)
            WHERE span.student = h.student_id AND h.at BETWEEN first AND last
        ) AS in_outbox
    FROM ({_HOMES}) AS h
    LEFT JOIN students ON students.id = h.student_id
    LEFT JOIN classes ON classes.id = h.class_id
    LEFT JOIN sessions AS s ON s.id = h.session_id
    LEFT JOIN notebook_aliases AS a ON a.id = h.alias_id
    LEFT JOIN cells AS c ON c.id = h.cell_id
"""
_STATES = """
    SELECT user_id, COALESCE(class_code, ''), ARRAY[executions, errors]
    FROM student_states JOIN students ON students.id = student_id
    LEFT JOIN classes ON classes.id = class_id WHERE executions > 0 OR errors > 0
"""
_CELLS = """
    SELECT user_id, COALESCE(class_code, ''), path, c.cell_id, ARRAY[p.executions, p.errors]
    FROM cell_progress AS p JOIN students ON students.id = student_id
    JOIN notebook_aliases AS a ON a.id = p.alias_id JOIN cells AS c ON c.id = p.cell_id
    LEFT JOIN classes ON classes.id = a.class_id WHERE p.executions > 0 OR p.errors > 0
"""
_ACTIVITY = """
    SELECT user_id, COALESCE(class_code, ''), step::text,
        ARRAY[sum(executions), sum(errors), sum(helps)]::bigint[]
    FROM student_activity_counts JOIN students ON students.id = student_id
    LEFT JOIN classes ON classes.id = class_id
    GROUP BY 1, 2, 3 HAVING sum(executions) + sum(errors) + sum(helps) > 0
"""
_LEDGER = "SELECT COALESCE(sum(stored), 0)::bigint, COALESCE(sum(withdrawn), 0)::bigint FROM ledger"
