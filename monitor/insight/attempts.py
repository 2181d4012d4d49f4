"""All attempts of a class's students at one cell, newest first."""

import uuid
from datetime import datetime
from typing import Annotated, Literal, NamedTuple

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.paging import Id
from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.insight.attempt_keys import AttemptKey, Span, attempt_keys, spans_of
from monitor.insight.code_lines import KERNEL, Code, CodeLine
from monitor.insight.compared_lines import compared
from monitor.insight.kept import Kept
from monitor.insight.place_cells import Place, place_cells
from monitor.insight.query import ClassIds, PageCursor, PageQuery, class_notebook
from monitor.insight.versions import class_people
from monitor.workers.pool import Workers

_MAX_KINDS = 20


class AttemptsQuery(PageQuery, frozen=True, kw_only=True):
    """A page of the attempts at a `place` of the notebook, as its cells name it.

    Only those with a status, with an error of this kind, or of a student, if given.
    """

    place: Place
    status: Literal["success", "error"] | UnsetType = UNSET
    error: Annotated[str, msgspec.Meta(max_length=512)] | UnsetType = UNSET
    student_id: Id | UnsetType = UNSET
    limit: Annotated[int, msgspec.Meta(ge=1, le=100, description="Items at most")] = 30


class Attempt(msgspec.Struct, kw_only=True):
    """An execution of the cell by a student.

    `number` is 1 for the student's first in this cell. `executed_at` is by the student's clock,
    `at` the same put right. `kind` is that of the error, as the notebook's cells count them. `code`
    is cut at 10,000 characters, `error` at 4,000, `output` at 2,000.
    """

    event_id: uuid.UUID
    student_id: int
    user_id: str
    number: int
    at: datetime
    executed_at: datetime
    received_at: datetime
    status: str
    execution_count: int | None
    duration_ms: float | None
    code: str | None
    output: str | None
    error: str | None
    kind: str | None
    verified: bool


class ComparedAttempt(Attempt, kw_only=True):
    """An attempt. `lines` are its code, and what changed since the student's attempt before."""

    lines: list[CodeLine]


class AttemptKind(msgspec.Struct):
    """A kind of error in the cell: how often it was met, and by how many students."""

    error: str
    count: int
    students: int


class CellAttempts(msgspec.Struct, kw_only=True):
    """A page of the attempts at a cell, newest first; `next` is the cursor of the next one.

    `students` is how many the class has, `tried` and `solved` how many of them ran the cell, and
    did so without an error; `attempts` is how often they ran it, whatever the filter. `title` and
    `heading` are as in the notebook's cells.
    """

    class_id: int
    notebook_id: int
    notebook_path: str
    place: str
    cell_id: str | None
    position: int | None
    title: str | None
    heading: str | None
    students: int
    tried: int
    solved: int
    attempts: int
    kinds: list[AttemptKind]
    items: list[ComparedAttempt]
    next: str | None


class ReadAttempts(NamedTuple):
    """A page as it was read: the attempts, and of each the code before and the kernel."""

    page: CellAttempts
    attempts: list[Attempt]
    codes_before: list[str | None]
    kernels: list[str | None]

    async def compared(self, workers: Workers, caller: str) -> CellAttempts:
        """The page with its lines. Raises as `compared_lines.compared` does."""
        codes = [attempt.code or "" for attempt in self.attempts]
        asked = map(Code, codes, self.codes_before, self.kernels)
        self.page.items = [
            ComparedAttempt(**msgspec.structs.asdict(attempt), lines=lines)
            for attempt, lines in zip(
                self.attempts, await compared(workers, caller, asked), strict=True
            )
        ]
        return self.page


class _Page(NamedTuple):
    """The keys of a page's attempts, and of the attempts before them."""

    keys: list[AttemptKey]
    before: dict[AttemptKey, AttemptKey]
    next: str | None


async def cell_attempts(
    connection: Connection,
    class_ids: ClassIds,
    notebook_id: int,
    query: AttemptsQuery,
    kept: Kept | None = None,
) -> ReadAttempts:
    """What today's students of the class did in it there; not what is excluded or was rendered.

    `attempt_keys` says how far back it looks. Without `kept` all rows are read. Raises NotFound,
    InvalidBody.
    """
    bound, since = query.upper_bound(), query.lower_bound()
    people = await class_people(connection, class_ids)
    students = people.students
    notebook = await class_notebook(connection, class_ids, notebook_id)
    async with (kept or Kept()).notebook(connection, class_ids, notebook, people) as (all_, _):
        cell = await place_cells(connection, all_, query.place)
    if cell is None:
        where = f"{notebook.path} in the class {class_ids[0]}"
        raise NotFound(f"There is no cell {query.place} in {where}")
    spans = await spans_of(connection, class_ids, cell)
    kinds = await connection.fetch(_SELECT_KINDS, cell.students, cell.aliases, cell.ids, _MAX_KINDS)
    wanted = _wanted(spans, students, query, class_ids[0])
    with_kinds = query.error is not UNSET
    keys = await attempt_keys(connection, class_ids, wanted, cell.ids, with_kinds=with_kinds)
    page = _page(keys, query, bound, since)
    shown = CellAttempts(
        class_id=class_ids[0],
        notebook_id=notebook.id,
        notebook_path=notebook.path,
        place=query.place,
        cell_id=cell.cell_id,
        position=cell.position,
        title=cell.name.title,
        heading=cell.name.heading,
        students=len(students),
        tried=len(spans),
        solved=sum(span.is_solved for span in spans),
        attempts=sum(span.executions for span in spans),
        kinds=[AttemptKind(**row) for row in kinds],
        items=[],
        next=page.next,
    )
    return await _read(connection, shown, page, students)


def _wanted(
    spans: list[Span], students: dict[int, str], query: AttemptsQuery, class_id: int
) -> list[Span]:
    """Raises NotFound."""
    if query.student_id is UNSET:
        return spans
    if query.student_id not in students:
        raise NotFound(f"There is no student {query.student_id} in the class {class_id}")
    return [span for span in spans if span.student_id == query.student_id]


def _page(
    keys: list[AttemptKey], query: AttemptsQuery, bound: PageCursor, since: datetime
) -> _Page:
    """`keys` are all attempts of each student, in the order of their times."""
    latest: dict[int, AttemptKey] = {}
    before: dict[AttemptKey, AttemptKey] = {}
    matches = []
    for key in keys:
        if key.student_id in latest:
            before[key] = latest[key.student_id]
        latest[key.student_id] = key
        if (
            since <= key.at
            and (key.at, key.event_id) < bound
            and query.status in (UNSET, key.status)
            and query.error in (UNSET, key.kind)
        ):
            matches.append(key)
    newest = matches[: -query.limit - 1 : -1]
    is_last = len(matches) <= query.limit
    cursor = None if is_last else str(PageCursor(newest[-1].at, newest[-1].event_id))
    return _Page(newest, {key: before[key] for key in newest if key in before}, cursor)


async def _read(
    connection: Connection, shown: CellAttempts, page: _Page, students: dict[int, str]
) -> ReadAttempts:
    rows = await _rows(connection, {*page.keys, *page.before.values()})
    read = ReadAttempts(shown, [], [], [])
    for key in page.keys:
        row = dict(rows[key])
        read.kernels.append(row.pop("kernel"))
        read.attempts.append(Attempt(**row, user_id=students[key.student_id], number=key.number))
        before = page.before.get(key)
        read.codes_before.append((rows[before]["code"] or "") if before else None)
    return read


async def _rows(connection: Connection, keys: set[AttemptKey]) -> dict[AttemptKey, asyncpg.Record]:
    by_id = {(key.student_id, key.event_id): key for key in keys}
    student_ids, event_ids = ([each[place] for each in by_id] for place in (0, 1))
    times = [key.executed_at for key in by_id.values()]
    rows = await connection.fetch(_SELECT_ROWS, student_ids, times, event_ids)
    return {by_id[row["student_id"], row["event_id"]]: row for row in rows}


# OFFSET 0 keeps each of these a look-up by the primary key, whatever the statistics say.
_SELECT_ROWS = f"""
    SELECT e.* FROM unnest($1::bigint[], $2::timestamptz[], $3::uuid[])
        AS key (student_id, executed_at, event_id)
    CROSS JOIN LATERAL (
        SELECT student_id, event_id, executed_at, received_at,
            put_right(received_at, executed_at, clock_offset) AS at, status, execution_count,
            duration_ms, left(code, 10000) AS code, left(output, 2000) AS output,
            left(error, 4000) AS error,
            CASE status WHEN 'error' THEN normalised_error(left(COALESCE(error, ''), 500)) END
                AS kind,
            verified,
            {KERNEL} AS kernel
        FROM cell_executions
        WHERE student_id = key.student_id AND executed_at = key.executed_at
            AND event_id = key.event_id OFFSET 0
    ) AS e
"""  # noqa: S608 - constants

_SELECT_KINDS = """
    SELECT e.error, sum(e.count)::bigint AS count, count(DISTINCT cell.student_id) AS students
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS cell (student_id, alias_id, id)
    CROSS JOIN LATERAL (
        SELECT error, count FROM cell_errors
        WHERE student_id = cell.student_id AND alias_id = cell.alias_id AND cell_id = cell.id
        OFFSET 0
    ) AS e
    GROUP BY e.error ORDER BY students DESC, count DESC, e.error LIMIT $4
"""
