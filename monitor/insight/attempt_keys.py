"""Where the attempts of students at a cell are stored: found in the executions' primary key.

The plans don't depend on statistics: OFFSET 0 and LIMIT keep each subquery a look-up by a key, and
`IS TRUE` keeps IN a look-up in a hash table rather than a join.
"""

import uuid
from collections import Counter
from datetime import datetime
from typing import NamedTuple

from monitor.database.pool import Connection
from monitor.insight.place_cells import PlaceCells
from monitor.insight.query import ClassIds

_MAX_SCANNED = 200_000  # executions of all students, for one page: about 50 ms


class Span(NamedTuple):
    """When a student was at a cell, by the clock that their events claim, and how it went."""

    student_id: int
    executions: int
    is_solved: bool
    since: datetime
    until: datetime


class AttemptKey(NamedTuple):
    """An execution's key, its time put right, and its number among the student's in the cell."""

    at: datetime
    event_id: uuid.UUID
    student_id: int
    executed_at: datetime
    status: str
    kind: str | None
    number: int


async def spans_of(connection: Connection, class_ids: ClassIds, cells: PlaceCells) -> list[Span]:
    """Those of the students who ran one of these cells."""
    rows = await connection.fetch(
        _SELECT_SPANS, cells.students, cells.aliases, cells.ids, class_ids
    )
    return [Span(**row) for row in rows]


async def attempt_keys(
    connection: Connection,
    class_ids: ClassIds,
    spans: list[Span],
    cells: list[int],
    *,
    with_kinds: bool,
) -> list[AttemptKey]:
    """All attempts within these spans, by time put right. Kinds are of errors, None without.

    Of each student the latest executions by their clock are searched, in all 200,000: 1,000 of each
    in a class of 200. Attempts before those are left out, and counted in the numbers.
    """
    if not spans:
        return []
    rows = await connection.fetch(
        _SELECT_KEYS,
        [span.student_id for span in spans],
        [span.since for span in spans],
        [span.until for span in spans],
        cells,
        class_ids,
        _MAX_SCANNED // len(spans),
        min(span.since for span in spans),
        max(span.until for span in spans),
        with_kinds,
    )
    rows.sort(key=lambda row: (row["at"], row["event_id"]))
    found = Counter(row["student_id"] for row in rows)
    numbers = {span.student_id: max(0, span.executions - found[span.student_id]) for span in spans}
    keys = []
    for row in rows:
        numbers[row["student_id"]] += 1
        keys.append(AttemptKey(**row, number=numbers[row["student_id"]]))
    return keys


_SELECT_SPANS = """
    SELECT p.student_id, p.executions, p.is_solved,
        p.first_at - clock.greatest * interval '1 microsecond' AS since,
        p.last_at - clock.least * interval '1 microsecond' AS until
    FROM (
        SELECT p.student_id, sum(p.executions)::bigint AS executions,
            bool_or(p.first_success_at IS NOT NULL) AS is_solved,
            min(COALESCE(p.first_at, LEAST(p.first_error_at, p.first_success_at))) AS first_at,
            max(COALESCE(p.last_at, now())) AS last_at
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS cell (student_id, alias_id, id)
        CROSS JOIN LATERAL (
            SELECT * FROM cell_progress
            WHERE student_id = cell.student_id AND alias_id = cell.alias_id AND cell_id = cell.id
            OFFSET 0
        ) AS p
        WHERE p.executions > 0 GROUP BY p.student_id
    ) AS p
    CROSS JOIN LATERAL (
        SELECT LEAST(min(least_offset), 0) AS least, GREATEST(max(greatest_offset), 0) AS greatest
        FROM student_states WHERE student_id = p.student_id AND class_id = ANY ($4::bigint[])
    ) AS clock
"""

# The inner scan reads the index alone: the key includes what is filtered by. `$7` and `$8` bound
# the claimed times of all students, to leave out partitions.
_SELECT_KEYS = """
    SELECT e.at, key.event_id, span.student_id, key.executed_at, e.status, e.kind
    FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[])
        AS span (student_id, since, until)
    CROSS JOIN LATERAL (
        SELECT executed_at, event_id FROM (
            SELECT executed_at, event_id, cell_id, class_id, status, excluded
            FROM cell_executions
            WHERE student_id = span.student_id AND executed_at BETWEEN span.since AND span.until
                AND executed_at BETWEEN $7::timestamptz AND $8::timestamptz
            ORDER BY executed_at DESC, event_id DESC LIMIT $6
        ) AS scanned
        WHERE (cell_id IN (SELECT unnest($4::bigint[]))) IS TRUE AND class_id = ANY ($5::bigint[])
            AND excluded IS NULL AND status <> 'rendered'
    ) AS key
    CROSS JOIN LATERAL (
        SELECT put_right(received_at, executed_at, clock_offset) AS at, status,
            CASE WHEN $9::boolean AND status = 'error'
                THEN normalised_error(left(COALESCE(error, ''), 500)) END AS kind
        FROM cell_executions
        WHERE student_id = span.student_id AND executed_at = key.executed_at
            AND event_id = key.event_id OFFSET 0
    ) AS e
"""
