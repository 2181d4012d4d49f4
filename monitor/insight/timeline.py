"""A student's executions, and when they opened, saved and closed notebooks."""

import uuid
from datetime import datetime
from typing import Any, Literal

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.paging import Id
from monitor.database.pool import Connection
from monitor.events.event import NO_CLASS
from monitor.insight.cell_names import cell_name, named
from monitor.insight.query import (
    CursorPage,
    PageCursor,
    PageQuery,
    check_student,
    full_page,
)

SCANNED = 2_000  # rows read for one page at most, whatever the filters


class TimelineQuery(PageQuery, frozen=True, kw_only=True):
    """A page of executions, only those of a notebook or with a status if given."""

    notebook_id: Id | UnsetType = UNSET
    status: Literal["success", "error", "rendered"] | UnsetType = UNSET


class Execution(msgspec.Struct, kw_only=True):
    """An execution of a cell. `code`, `output` and `error` are cut at 10,000 characters.

    `executed_at` is by the student's clock, `at` the same put right. `class_id` is null for what
    was done in no class. `verified` says that the student's own credential sent it. `excluded` is
    why it counts nowhere, `disputed` or `withdrawn`; else null. Markdown and raw cells have the
    status `rendered`. `pictures` counts those that it showed; `/students/{id}/pictures` has them.
    `output_cut` says that the output was longer, here or when it was sent. `cell_title` is the
    first line of the code, `cell_heading` the nearest heading that the student rendered above it.
    """

    event_id: uuid.UUID
    class_id: int | None
    executed_at: datetime
    received_at: datetime
    at: datetime
    session_id: str | None
    notebook_id: int | None
    notebook_path: str | None
    cell_id: str | None
    cell_position: int | None
    cell_title: str | None
    cell_heading: str | None
    execution_count: int | None
    status: str
    duration_ms: float | None
    code: str | None
    output: str | None
    error: str | None
    pictures: int
    output_cut: bool
    verified: bool
    excluded: str | None


class NotebookAccess(msgspec.Struct, kw_only=True):
    """A notebook was opened, saved or closed: `action` is `open`, `save` or `close`.

    The other fields are those of an execution.
    """

    event_id: uuid.UUID
    class_id: int | None
    accessed_at: datetime
    received_at: datetime
    at: datetime
    session_id: str | None
    notebook_id: int | None
    notebook_path: str | None
    action: str
    verified: bool
    excluded: str | None


async def executions(
    connection: Connection,
    classes: list[int] | None,
    student_id: int,
    query: TimelineQuery,
    *,
    is_open: bool,
) -> CursorPage[Execution]:
    """Those in these classes (None: in all), newest first by the student's clock.

    Those of a notebook include what counts for it, on an open server (`is_open`) also what was done
    in no class. Raises NotFound, InvalidBody.
    """
    await check_student(connection, student_id)
    bound, since = query.upper_bound(), query.lower_bound()
    aliases = None
    if query.notebook_id is not UNSET:
        also = [NO_CLASS] if is_open else []
        aliases = await connection.fetchval(_SELECT_ALIASES, query.notebook_id, also)
    status = None if query.status is UNSET else query.status
    keys = await connection.fetch(
        _SELECT_KEYS, student_id, *bound, since, SCANNED, aliases, status, classes, query.limit
    )
    items = await _executions(connection, student_id, keys)
    page = full_page(items, query, lambda item: PageCursor(item.executed_at, item.event_id))
    if page.next is None and (aliases, status, classes) != (None, None, None):
        page.next = await _next_scan(connection, _SELECT_LAST_EXECUTION, student_id, query)
    return page


async def _executions(
    connection: Connection, student_id: int, keys: list[asyncpg.Record]
) -> list[Execution]:
    if not keys:
        return []
    times, event_ids = ([key[name] for key in keys] for name in ("executed_at", "event_id"))
    rows = await connection.fetch(_SELECT_EXECUTIONS, student_id, times, event_ids)
    return [_execution(dict(row)) for row in rows]


def _execution(row: dict[str, Any]) -> Execution:
    cell_type = "markdown" if row["status"] == "rendered" else "code"
    title, heading = cell_name(row["code"], cell_type, row.pop("named_text"))
    return Execution(**row, cell_title=title, cell_heading=heading)


async def accesses(
    connection: Connection, classes: list[int] | None, student_id: int, query: PageQuery
) -> CursorPage[NotebookAccess]:
    """Those in these classes (None: in all), newest first. Raises NotFound, InvalidBody."""
    await check_student(connection, student_id)
    bound, since = query.upper_bound(), query.lower_bound()
    rows = await connection.fetch(
        _SELECT_ACCESSES, student_id, *bound, since, SCANNED, classes, query.limit
    )
    items = [NotebookAccess(**row) for row in rows]
    page = full_page(items, query, lambda item: PageCursor(item.accessed_at, item.event_id))
    if page.next is None and classes is not None:
        page.next = await _next_scan(connection, _SELECT_LAST_ACCESS, student_id, query)
    return page


async def _next_scan(
    connection: Connection, select: str, student_id: int, query: PageQuery
) -> str | None:
    """The cursor behind the last row that was scanned for a page; None if no more are left."""
    bound, since = query.upper_bound(), query.lower_bound()
    last = await connection.fetchrow(select, student_id, *bound, since, SCANNED - 1)
    return None if last is None else str(PageCursor(*last))


_SELECT_ALIASES = """
    SELECT ARRAY(
        SELECT a.id FROM notebooks AS n
        CROSS JOIN unnest(notebooks_counting_for(n.class_id || $2::bigint[], n.id)) AS counted (id)
        JOIN notebook_aliases AS a ON a.notebook_id = counted.id
        WHERE n.id = $1
    )
"""

# Read from the index alone, except pages of the table that PostgreSQL has not vacuumed yet.
_SELECT_KEYS = """
    SELECT executed_at, event_id FROM (
        SELECT executed_at, event_id, alias_id, status, class_id FROM cell_executions
        WHERE student_id = $1 AND (executed_at, event_id) < ($2, $3)
            AND executed_at BETWEEN $4 AND $2
        ORDER BY executed_at DESC, event_id DESC LIMIT $5
    ) AS scanned
    WHERE ($6::bigint[] IS NULL OR alias_id = ANY ($6)) AND ($7::text IS NULL OR status = $7)
        AND ($8::bigint[] IS NULL OR class_id = ANY ($8))
    ORDER BY executed_at DESC, event_id DESC LIMIT $9
"""

_SELECT_EXECUTIONS = f"""
    SELECT e.event_id, NULLIF(e.class_id, 0) AS class_id, e.executed_at, e.received_at,
        put_right(e.received_at, e.executed_at, e.clock_offset) AS at,
        NULLIF(s.session_id, '') AS session_id,
        n.id AS notebook_id, n.path AS notebook_path, c.cell_id,
        CASE WHEN e.cell_index >= 0 THEN e.cell_index
            WHEN c.position >= 0 THEN c.position END AS cell_position,
        e.execution_count, e.status, e.duration_ms,
        left(e.code, 10000) AS code, left(e.output, 10000) AS output,
        left(e.error, 10000) AS error,
        CASE jsonb_typeof(e.metadata -> 'pictures')
            WHEN 'array' THEN jsonb_array_length(e.metadata -> 'pictures') ELSE 0
        END AS pictures,
        length(e.output) > 10000 IS TRUE OR (jsonb_typeof(e.metadata -> 'cut') = 'object'
            AND e.metadata -> 'cut' ?| ARRAY['result', 'output', 'outputs']) IS TRUE AS output_cut,
        e.verified, e.excluded, called.named_text
    FROM executions_at($1, $2) AS e
    JOIN unnest($2::timestamptz[], $3::uuid[]) AS page (executed_at, event_id)
        USING (executed_at, event_id)
    LEFT JOIN notebook_aliases AS a ON a.id = e.alias_id
    LEFT JOIN notebooks AS n ON n.id = a.notebook_id
    LEFT JOIN cells AS c ON c.id = e.cell_id
    LEFT JOIN sessions AS s ON s.id = e.session_id
    CROSS JOIN {
    named(
        student="$1",
        alias="e.alias_id",
        cell="e.cell_id",
        index="e.cell_index",
        classes="ARRAY[e.class_id]",
    )
} AS called
    ORDER BY e.executed_at DESC, e.event_id DESC
"""  # noqa: S608 - constants

_SELECT_LAST_EXECUTION = """
    SELECT executed_at, event_id FROM cell_executions
    WHERE student_id = $1 AND (executed_at, event_id) < ($2, $3) AND executed_at BETWEEN $4 AND $2
    ORDER BY executed_at DESC, event_id DESC LIMIT 1 OFFSET $5
"""

_SELECT_ACCESSES = """
    SELECT e.event_id, NULLIF(e.class_id, 0) AS class_id, e.accessed_at, e.received_at,
        put_right(e.received_at, e.accessed_at, e.clock_offset) AS at,
        NULLIF(s.session_id, '') AS session_id,
        n.id AS notebook_id, n.path AS notebook_path, e.action, e.verified, e.excluded
    FROM (
        SELECT * FROM (
            SELECT * FROM notebook_accesses
            WHERE student_id = $1 AND (accessed_at, event_id) < ($2, $3)
                AND accessed_at BETWEEN $4 AND $2
            ORDER BY accessed_at DESC, event_id DESC LIMIT $5
        ) AS scanned
        WHERE $6::bigint[] IS NULL OR class_id = ANY ($6)
        ORDER BY accessed_at DESC, event_id DESC LIMIT $7
    ) AS e
    LEFT JOIN notebook_aliases AS a ON a.id = e.alias_id
    LEFT JOIN notebooks AS n ON n.id = a.notebook_id
    LEFT JOIN sessions AS s ON s.id = e.session_id
    ORDER BY e.accessed_at DESC, e.event_id DESC
"""

_SELECT_LAST_ACCESS = """
    SELECT accessed_at, event_id FROM notebook_accesses
    WHERE student_id = $1 AND (accessed_at, event_id) < ($2, $3) AND accessed_at BETWEEN $4 AND $2
    ORDER BY accessed_at DESC, event_id DESC LIMIT 1 OFFSET $5
"""
