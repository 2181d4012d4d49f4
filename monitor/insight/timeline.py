"""A student's executions, and their notebooks opened, saved and closed."""

import uuid
from datetime import datetime
from typing import Literal

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.paging import Id
from monitor.database.reads import Reads
from monitor.insight.pages import PageCursor, PageOf, Span, check_student

SCANNED = 2_000  # executions that are looked at for one page, whatever the filters


class TimelineSpan(Span, frozen=True, kw_only=True):
    """The page of a time line, and what it is restricted to."""

    notebook_id: Id | UnsetType = UNSET
    status: Literal["success", "error"] | UnsetType = UNSET


class Execution(msgspec.Struct):
    """A cell that was run. Of long texts it has the first 10,000 characters."""

    event_id: uuid.UUID
    executed_at: datetime
    received_at: datetime
    session_id: str | None
    notebook_id: int | None
    notebook_path: str | None
    cell_id: str | None
    cell_position: int | None
    execution_count: int | None
    status: str
    duration_ms: float | None
    code: str | None
    output: str | None
    error: str | None


class Access(msgspec.Struct):
    """A notebook that was opened, saved or closed."""

    event_id: uuid.UUID
    accessed_at: datetime
    received_at: datetime
    session_id: str | None
    notebook_id: int | None
    notebook_path: str | None
    action: str


async def executions(reads: Reads, student_id: int, span: TimelineSpan) -> PageOf[Execution]:
    """Raises NotFound, InvalidBody."""
    await check_student(reads, student_id)
    place, start = span.place(), span.start()
    notebook = None if span.notebook_id is UNSET else span.notebook_id
    status = None if span.status is UNSET else span.status
    keys = await reads.fetch(
        _SELECT_KEYS, student_id, *place, start, SCANNED, notebook, status, span.limit
    )
    items = await _executions(reads, student_id, keys)
    if len(items) == span.limit:
        return PageOf(items, str(PageCursor(items[-1].executed_at, items[-1].event_id)))
    if notebook is None and status is None:
        return PageOf(items, None)
    last = await reads.fetchrow(_SELECT_LAST_SCANNED, student_id, *place, start, SCANNED - 1)
    return PageOf(items, None if last is None else str(PageCursor(*last)))


async def _executions(reads: Reads, student_id: int, keys: list[asyncpg.Record]) -> list[Execution]:
    if not keys:
        return []
    rows = await reads.fetch(_SELECT_EXECUTIONS, student_id, *zip(*keys, strict=True))
    return [Execution(**row) for row in rows]


async def accesses(reads: Reads, student_id: int, span: Span) -> PageOf[Access]:
    """Raises NotFound, InvalidBody."""
    await check_student(reads, student_id)
    rows = await reads.fetch(_SELECT_ACCESSES, student_id, *span.place(), span.start(), span.limit)
    items = [Access(**row) for row in rows]
    full = len(items) == span.limit
    return PageOf(
        items, str(PageCursor(items[-1].accessed_at, items[-1].event_id)) if full else None
    )


# From the index alone, but for what PostgreSQL has not vacuumed yet.
_SELECT_KEYS = """
    SELECT executed_at, event_id FROM (
        SELECT executed_at, event_id, notebook_id, status FROM cell_executions
        WHERE student_id = $1 AND (executed_at, event_id) < ($2, $3)
            AND executed_at BETWEEN $4 AND $2
        ORDER BY executed_at DESC, event_id DESC LIMIT $5
    ) AS scanned
    WHERE ($6::bigint IS NULL OR notebook_id = $6) AND ($7::text IS NULL OR status = $7)
    ORDER BY executed_at DESC, event_id DESC LIMIT $8
"""

_SELECT_EXECUTIONS = """
    SELECT e.event_id, e.executed_at, e.received_at, s.session_id, e.notebook_id,
        n.path AS notebook_path, c.cell_id, c.position AS cell_position, e.execution_count,
        e.status, e.duration_ms, left(e.code, 10000) AS code, left(e.output, 10000) AS output,
        left(e.error, 10000) AS error
    FROM executions_at($1, $2) AS e
    JOIN unnest($2::timestamptz[], $3::uuid[]) AS page (executed_at, event_id)
        USING (executed_at, event_id)
    LEFT JOIN notebooks AS n ON n.id = e.notebook_id
    LEFT JOIN cells AS c ON c.id = e.cell_id
    LEFT JOIN sessions AS s ON s.id = e.session_id
    ORDER BY e.executed_at DESC, e.event_id DESC
"""

_SELECT_LAST_SCANNED = """
    SELECT executed_at, event_id FROM cell_executions
    WHERE student_id = $1 AND (executed_at, event_id) < ($2, $3) AND executed_at BETWEEN $4 AND $2
    ORDER BY executed_at DESC, event_id DESC LIMIT 1 OFFSET $5
"""

_SELECT_ACCESSES = """
    SELECT a.event_id, a.accessed_at, a.received_at, s.session_id, a.notebook_id,
        n.path AS notebook_path, a.action
    FROM (
        SELECT * FROM notebook_accesses
        WHERE student_id = $1 AND (accessed_at, event_id) < ($2, $3)
            AND accessed_at BETWEEN $4 AND $2
        ORDER BY accessed_at DESC, event_id DESC LIMIT $5
    ) AS a
    LEFT JOIN notebooks AS n ON n.id = a.notebook_id
    LEFT JOIN sessions AS s ON s.id = a.session_id
    ORDER BY a.accessed_at DESC, a.event_id DESC
"""
