"""Backfill: points of events, made from their rows in PostgreSQL."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import NamedTuple

import asyncpg

from monitor.events.types import CELL_EXECUTIONS, EVENTS_TABLE, NOTEBOOK_ACCESSES, Table
from monitor.timeseries.line_protocol import point

_MAX_LINES = 5_000  # in one list


class Spans(NamedTuple):
    """Students' spans of time, as three columns; both ends are included."""

    students: list[int]
    first_times: list[datetime]
    last_times: list[datetime]


def lines_of(connection: asyncpg.Connection, spans: Spans) -> AsyncIterator[list[str]]:
    """The points of the students' events in these spans, in lists of up to 5,000 lines.

    Call it in a transaction.
    """
    return _lines(connection, _OF_SPANS, *spans)


async def lines_between(
    pool: asyncpg.Pool, first: datetime, last: datetime
) -> AsyncIterator[list[str]]:
    """The points of all events from `first` to before `last`, in lists of up to 5,000 lines.

    Each list is read by a statement of its own, from the key of the last one on: no transaction
    is open meanwhile.
    """
    for table in _TABLES:
        query = _select(table, _PAGE) + _BY_KEY
        key = _FIRST_KEY
        while rows := await pool.fetch(query, first, last, *key, _MAX_LINES):
            yield [_line(row) for row in rows]
            key = rows[-1]["student_id"], rows[-1]["time"], rows[-1]["event_id"]


async def _lines(
    connection: asyncpg.Connection, source: str, *arguments: object
) -> AsyncIterator[list[str]]:
    for table in _TABLES:
        lines = []
        query = _select(table, source)
        async for row in connection.cursor(query, *arguments, prefetch=_MAX_LINES):
            lines.append(_line(row))
            if len(lines) == _MAX_LINES:
                yield lines
                lines = []
        if lines:
            yield lines


def _select(table: Table, source: str) -> str:
    time = table.key[1]
    return _SELECT.format(
        source=source.format(table=table.name, time=time),
        time=time,
        run=_RUN if table is CELL_EXECUTIONS else _NO_RUN,
    )


def _line(row: asyncpg.Record) -> str:
    return point(**{name: value for name, value in row.items() if name != "student_id"})


_TABLES = (CELL_EXECUTIONS, NOTEBOOK_ACCESSES, EVENTS_TABLE)
_FIRST_KEY = (0, datetime.min.replace(tzinfo=UTC), uuid.UUID(int=0))


_RUN = """
    CASE WHEN e.status <> 'rendered' THEN e.execution_count END AS execution_count,
    CASE WHEN e.status <> 'rendered' THEN e.status END AS outcome,
    CASE WHEN e.status <> 'rendered' THEN e.duration_ms END AS duration_ms
"""
_NO_RUN = "NULL AS execution_count, NULL AS outcome, NULL AS duration_ms"

# OFFSET 0 keeps the planner from reading whole partitions: each span is a piece of the key.
_OF_SPANS = """
    unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[]) AS span (student, first, last)
    CROSS JOIN LATERAL (
        SELECT * FROM {table} AS t
        WHERE t.student_id = span.student AND t.{time} BETWEEN span.first AND span.last
            AND t.excluded IS DISTINCT FROM 'withdrawn'
        OFFSET 0
    ) AS e
"""
_PAGE = """
    (
        SELECT * FROM {table} AS t
        WHERE t.{time} >= $1 AND t.{time} < $2 AND t.excluded IS DISTINCT FROM 'withdrawn'
            AND (t.student_id, t.{time}, t.event_id) > ($3, $4, $5)
        ORDER BY t.student_id, t.{time}, t.event_id LIMIT $6
    ) AS e
"""

_SELECT = """
    SELECT e.student_id, e.event_id, e.event_type, e.{time} AS time, students.user_id AS student,
        sessions.session_id AS session,
        COALESCE(
            notebook_aliases.path,
            CASE WHEN jsonb_typeof(e.metadata->'notebookPath') = 'string'
                THEN e.metadata->>'notebookPath' END
        ) AS notebook,
        COALESCE(
            cells.cell_id,
            CASE WHEN jsonb_typeof(e.metadata->'cellId') = 'string' THEN e.metadata->>'cellId' END
        ) AS cell,
        e.cell_type, {run}
    FROM {source}
    JOIN students ON students.id = e.student_id
    LEFT JOIN sessions ON sessions.id = e.session_id
    LEFT JOIN notebook_aliases ON notebook_aliases.id = e.alias_id
    LEFT JOIN cells ON cells.id = e.cell_id
"""
_BY_KEY = "ORDER BY e.student_id, time, e.event_id"
