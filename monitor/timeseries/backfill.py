"""The points of events, made from the rows that PostgreSQL holds of them."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple

import asyncpg

from monitor.events.types import CELL_EXECUTIONS, EVENTS_TABLE, NOTEBOOK_ACCESSES
from monitor.timeseries.line_protocol import point

_AT_ONCE = 5_000  # points


class Spans(NamedTuple):
    """Stretches of time of single students, column by column; both ends are included."""

    students: list[int]
    first_times: list[datetime]
    last_times: list[datetime]


def lines_of(connection: asyncpg.Connection, spans: Spans) -> AsyncIterator[list[str]]:
    """The points of the students' events in these spans, some thousands at a time.

    To be called in a transaction.
    """
    return _lines(connection, _OF_SPANS, *spans)


def lines_between(
    connection: asyncpg.Connection, first: datetime, last: datetime
) -> AsyncIterator[list[str]]:
    """The points of all events from `first` to before `last`. To be called in a transaction."""
    return _lines(connection, _BETWEEN, first, last)


async def _lines(
    connection: asyncpg.Connection, source: str, *arguments: object
) -> AsyncIterator[list[str]]:
    for table in (CELL_EXECUTIONS, NOTEBOOK_ACCESSES, EVENTS_TABLE):
        run = _RUN if table is CELL_EXECUTIONS else _NO_RUN
        time = table.key[1]
        query = _SELECT.format(
            source=source.format(table=table.name, time=time), time=time, run=run
        )
        lines = []
        async for row in connection.cursor(query, *arguments, prefetch=_AT_ONCE):
            lines.append(point(*row))
            if len(lines) == _AT_ONCE:
                yield lines
                lines = []
        if lines:
            yield lines


_RUN = "e.execution_count, e.status, e.duration_ms"
_NO_RUN = "NULL, NULL, NULL"

# OFFSET 0 keeps the planner from reading whole partitions: each span is a piece of the key.
_OF_SPANS = """
    unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[]) AS span (student, first, last)
    CROSS JOIN LATERAL (
        SELECT * FROM {table} AS t
        WHERE t.student_id = span.student AND t.{time} BETWEEN span.first AND span.last
        OFFSET 0
    ) AS e
"""
_BETWEEN = "(SELECT * FROM {table} AS t WHERE t.{time} >= $1 AND t.{time} < $2) AS e"

_SELECT = """
    SELECT e.event_id, e.event_type, e.{time}, students.user_id, sessions.session_id,
        notebooks.path, COALESCE(cells.cell_id, e.metadata->>'cellId'), e.cell_type, {run}
    FROM {source}
    JOIN students ON students.id = e.student_id
    LEFT JOIN sessions ON sessions.id = e.session_id
    LEFT JOIN notebooks ON notebooks.id = e.notebook_id
    LEFT JOIN cells ON cells.id = e.cell_id
"""
