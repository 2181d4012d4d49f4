"""Class analytics: a class now, its notebooks cell by cell, its activity, one student's history."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import TypeVar

import msgspec
from msgspec import UNSET
from starlette.responses import Response

from monitor.auth.principal import Principal
from monitor.database.paging import Id
from monitor.database.reads import Reads
from monitor.errors import NotFound
from monitor.http.csv import CSV, Converters, csv_response, csv_stream
from monitor.http.operations import Api
from monitor.insight.activity import ActivityInterval, ActivityQuery, class_activity
from monitor.insight.cells import (
    CellError,
    CellProgress,
    CellsQuery,
    NotebookProgress,
    assignment_progress,
    notebook_progress,
)
from monitor.insight.class_replay import class_state_at
from monitor.insight.class_state import ClassStateQuery, StudentState, class_state
from monitor.insight.heatmap import StudentCell, student_cells
from monitor.insight.query import CursorPage, PageQuery, Query
from monitor.insight.radar import ErrorGroup, Radar, RadarQuery, error_radar
from monitor.insight.student import StudentSession, StudentSubmission, sessions, submissions
from monitor.insight.timeline import (
    Execution,
    NotebookAccess,
    TimelineQuery,
    accesses,
    executions,
)

A = TypeVar("A")
Q = TypeVar("Q", bound=PageQuery)
T = TypeVar("T", bound=msgspec.Struct)

_MEDIA = {CSV: str}
_STUDENT = "/students/{student_id}"


def declare(api: Api, reads: Reads) -> None:
    _declare_classes(api, reads)
    _declare_cells(api, reads)
    _declare_students(api, reads)


def _declare_classes(api: Api, reads: Reads) -> None:
    @api.operation("GET", "/classes/{class_id}/now", raises=(NotFound,), media=_MEDIA)
    async def get_class_now(class_id: Id, query: ClassStateQuery) -> list[StudentState] | Response:
        """The state of each student of a class, now or at an earlier time, by user_id."""
        if query.at is UNSET:
            states = await class_state(reads, class_id, query)
        else:
            states = await class_state_at(reads, class_id, query.at, query)
        return _as_requested(query, states, f"class-{class_id}-now", StudentState, states)

    @api.operation("GET", "/classes/{class_id}/activity", raises=(NotFound,), media=_MEDIA)
    async def get_class_activity(
        class_id: Id, query: ActivityQuery
    ) -> list[ActivityInterval] | Response:
        """A class over time: executions, errors and `help` events in each interval (seconds)."""
        intervals = await class_activity(reads, class_id, query)
        name = f"class-{class_id}-activity"
        return _as_requested(query, intervals, name, ActivityInterval, intervals)

    @api.operation("GET", "/classes/{class_id}/errors", raises=(NotFound,), media=_MEDIA)
    async def get_class_errors(class_id: Id, query: RadarQuery) -> Radar | Response:
        """The errors of the last minutes, grouped by cell and kind; the most widespread first."""
        radar = await error_radar(reads, class_id, query)
        return _as_requested(query, radar, f"class-{class_id}-errors", ErrorGroup, radar.groups)


def _declare_cells(api: Api, reads: Reads) -> None:
    @api.operation(
        "GET",
        "/classes/{class_id}/notebooks/{notebook_id}/students",
        raises=(NotFound,),
        media=_MEDIA,
    )
    async def get_notebook_students(
        class_id: Id, notebook_id: Id, query: Query
    ) -> list[StudentCell] | Response:
        """A notebook in a class, student by student: the cells that each has reached."""
        cells = await student_cells(reads, class_id, notebook_id)
        name = f"class-{class_id}-notebook-{notebook_id}-students"
        return _as_requested(query, cells, name, StudentCell, cells)

    @api.operation(
        "GET",
        "/classes/{class_id}/notebooks/{notebook_id}/cells",
        raises=(NotFound,),
        media=_MEDIA,
    )
    async def get_notebook_cells(
        class_id: Id, notebook_id: Id, query: CellsQuery
    ) -> NotebookProgress | Response:
        """A notebook in a class, cell by cell: how far the students got, and their errors."""
        return _notebook(query, await notebook_progress(reads, class_id, notebook_id, query))

    @api.operation("GET", "/assignments/{assignment_id}/cells", raises=(NotFound,), media=_MEDIA)
    async def get_assignment_cells(
        assignment_id: Id, query: CellsQuery
    ) -> NotebookProgress | Response:
        """An assignment's notebook in its class, cell by cell."""
        return _notebook(query, await assignment_progress(reads, assignment_id, query))


def _declare_students(api: Api, reads: Reads) -> None:
    @api.operation("GET", f"{_STUDENT}/timeline", raises=(NotFound,), media=_MEDIA)
    async def get_timeline(
        student_id: Id, query: TimelineQuery
    ) -> CursorPage[Execution] | Response:
        """A student's executions, newest first."""
        fetch_page = partial(executions, reads, student_id)
        return await _pages(query, fetch_page, f"student-{student_id}-executions", Execution)

    @api.operation("GET", f"{_STUDENT}/accesses", raises=(NotFound,), media=_MEDIA)
    async def get_accesses(
        student_id: Id, query: PageQuery
    ) -> CursorPage[NotebookAccess] | Response:
        """When a student opened, saved and closed notebooks, newest first."""
        fetch_page = partial(accesses, reads, student_id)
        return await _pages(query, fetch_page, f"student-{student_id}-accesses", NotebookAccess)

    @api.operation("GET", f"{_STUDENT}/sessions", raises=(NotFound,), media=_MEDIA)
    async def get_sessions(
        student_id: Id, query: PageQuery
    ) -> CursorPage[StudentSession] | Response:
        """A student's JupyterLab sessions, newest first."""
        fetch_page = partial(sessions, reads, student_id)
        return await _pages(query, fetch_page, f"student-{student_id}-sessions", StudentSession)

    @api.operation("GET", f"{_STUDENT}/submissions", raises=(NotFound,), media=_MEDIA)
    async def get_submissions(
        student_id: Id, query: PageQuery, caller: Principal
    ) -> CursorPage[StudentSubmission] | Response:
        """A student's submissions, newest first; instructors see those in their own classes."""
        teacher = caller.name if caller.role == "instructor" else None
        fetch_page = partial(submissions, reads, student_id, teacher=teacher)
        name = f"student-{student_id}-submissions"
        return await _pages(query, fetch_page, name, StudentSubmission)


def _as_requested(
    query: Query,
    answer: A,
    name: str,
    row_type: type[T],
    rows: Iterable[T],
    converters: Converters | None = None,
) -> A | Response:
    """The answer, for JSON, or its rows as the CSV file `name`."""
    return csv_response(name, row_type, rows, converters) if query.format == "csv" else answer


def _notebook(query: CellsQuery, progress: NotebookProgress) -> NotebookProgress | Response:
    name = f"class-{progress.class_id}-notebook-{progress.notebook_id}"
    converters = {"frequent_errors": _errors_as_text}
    return _as_requested(
        query, progress, name, CellProgress, rows=progress.cells, converters=converters
    )


def _errors_as_text(errors: list[CellError]) -> str:
    return "; ".join(f"{each.error} ({each.count}: {', '.join(each.students)})" for each in errors)


async def _pages(
    query: Q,
    fetch_page: Callable[[Q], Awaitable[CursorPage[T]]],
    name: str,
    row_type: type[T],
) -> CursorPage[T] | Response:
    """The requested page or, as the CSV file `name`, the rows of this page and all after it."""
    page = await fetch_page(query)
    if query.format == "json":
        return page

    async def items() -> AsyncIterator[list[T]]:
        current = page
        yield current.items
        while current.next:
            current = await fetch_page(msgspec.structs.replace(query, cursor=current.next))
            yield current.items

    return csv_stream(name, row_type, items())
