"""A student's executions, and when they opened, saved and closed notebooks."""

import uuid
from datetime import datetime
from typing import Literal

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.paging import Id
from monitor.database.reads import Reads
from monitor.insight.query import CursorPage, PageCursor, PageQuery, check_student, full_page

SCANNED = 2_000  # executions read for one page at most, whatever the filters


class TimelineQuery(PageQuery, frozen=True, kw_only=True):
    """A page of executions, only those of a notebook or with a status if given."""

    notebook_id: Id | UnsetType = UNSET
    status: Literal["success", "error"] | UnsetType = UNSET


class Execution(msgspec.Struct):
    """An execution of a cell. `code`, `output` and `error` are cut at 10,000 characters."""

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


class NotebookAccess(msgspec.Struct):
    """A notebook was opened, saved or closed: `action` is `open`, `save` or `close`."""

    event_id: uuid.UUID
    accessed_at: datetime
    received_at: datetime
    session_id: str | None
    notebook_id: int | None
    notebook_path: str | None
    action: str


async def executions(reads: Reads, student_id: int, query: TimelineQuery) -> CursorPage[Execution]:
    """Newest first. Raises NotFound, InvalidBody."""
    await check_student(reads, student_id)
    bound, since = query.upper_bound(), query.lower_bound()
    notebook = None if query.notebook_id is UNSET else query.notebook_id
    status = None if query.status is UNSET else query.status
    keys = await reads.fetch(
        _SELECT_KEYS, student_id, *bound, since, SCANNED, notebook, status, query.limit
    )
    page = full_page(await _executions(reads, student_id, keys), query, _execution_cursor)
    if page.next is None and (notebook is not None or status is not None):
        last = await reads.fetchrow(_SELECT_LAST_SCANNED, student_id, *bound, since, SCANNED - 1)
        if last is not None:
            page.next = str(PageCursor(last["executed_at"], last["event_id"]))
    return page


async def _executions(reads: Reads, student_id: int, keys: list[asyncpg.Record]) -> list[Execution]:
    if not keys:
        return []
    times, event_ids = ([key[name] for key in keys] for name in ("executed_at", "event_id"))
    rows = await reads.fetch(_SELECT_EXECUTIONS, student_id, times, event_ids)
    return [Execution(**row) for row in rows]


def _execution_cursor(execution: Execution) -> PageCursor:
    return PageCursor(execution.executed_at, execution.event_id)


async def accesses(reads: Reads, student_id: int, query: PageQuery) -> CursorPage[NotebookAccess]:
    """Newest first. Raises NotFound, InvalidBody."""
    await check_student(reads, student_id)
    rows = await reads.fetch(
        _SELECT_ACCESSES, student_id, *query.upper_bound(), query.lower_bound(), query.limit
    )
    items = [NotebookAccess(**row) for row in rows]
    return full_page(items, query, lambda item: PageCursor(item.accessed_at, item.event_id))


# Read from the index alone, except pages of the table that PostgreSQL has not vacuumed yet.
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
