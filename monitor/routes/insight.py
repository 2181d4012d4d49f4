"""Class analytics: a class now, its notebooks cell by cell, its activity, one student's history."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import TypeVar

import msgspec
from msgspec import UNSET
from starlette.responses import Response

from monitor.database.paging import Id, Listing
from monitor.errors import NotFound
from monitor.http.csv import CSV, Converters, csv_response, csv_stream
from monitor.http.operations import Api
from monitor.http.snapshots import Snapshots
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
from monitor.insight.heatmap import StudentCell, StudentCellsQuery, student_cells
from monitor.insight.kept import Kept
from monitor.insight.overview import ClassOverview, OverviewQuery, overview
from monitor.insight.pictures import Picture, PicturesQuery, pictures
from monitor.insight.progress import AssignmentProgress, assignment_students
from monitor.insight.query import ClassIds, CursorPage, PageQuery, Query, shown_classes
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
S = TypeVar("S", ClassStateQuery, StudentCellsQuery)
T = TypeVar("T", bound=msgspec.Struct)

_MEDIA = {CSV: str}
_STUDENT = "/students/{student_id}"


def declare(api: Api, kept: Kept, *, is_open: bool) -> None:
    """`kept` is what is kept of classes that are looked at.

    `is_open`: the server needs no credentials; its classes also show what was done in none."""
    shown = partial(shown_classes, is_open=is_open)
    _declare_classes(api, shown, kept)
    _declare_overview(api, is_open=is_open)
    _declare_cells(api, shown, kept, is_open=is_open)
    _declare_timelines(api, is_open=is_open)
    _declare_students(api)


def _declare_classes(api: Api, shown: Callable[[int], ClassIds], kept: Kept) -> None:
    @api.operation("GET", "/classes/{class_id}/now", raises=(NotFound,), media=_MEDIA)
    async def get_class_now(
        snapshots: Snapshots, class_id: Id, query: ClassStateQuery
    ) -> Listing[StudentState] | Response:
        """The state of each student of a class, now or at an earlier time, by user_id."""
        class_ids = shown(class_id)

        async def fetch_page(page: ClassStateQuery) -> Listing[StudentState]:
            if page.at is UNSET:
                return await snapshots.read(partial(class_state, class_ids=class_ids, query=page))
            replay = partial(class_state_at, class_ids=class_ids, at=page.at, query=page)
            return await snapshots.read(replay, counted=True)

        return await _student_pages(query, fetch_page, f"class-{class_id}-now", StudentState)

    @api.operation("GET", "/classes/{class_id}/activity", raises=(NotFound,), media=_MEDIA)
    async def get_class_activity(
        snapshots: Snapshots, class_id: Id, query: ActivityQuery
    ) -> list[ActivityInterval] | Response:
        """A class over time: executions, errors and `help` events in each interval (seconds)."""
        read = partial(class_activity, class_ids=shown(class_id), query=query)
        intervals = await snapshots.read(read, counted=True)
        name = f"class-{class_id}-activity"
        return _as_requested(query, intervals, name, ActivityInterval, intervals)

    @api.operation("GET", "/classes/{class_id}/errors", raises=(NotFound,), media=_MEDIA)
    async def get_class_errors(
        snapshots: Snapshots, class_id: Id, query: RadarQuery
    ) -> Radar | Response:
        """The errors of the last minutes, grouped by cell and kind; the most widespread first."""
        read = partial(error_radar, class_ids=shown(class_id), query=query, kept=kept)
        radar = await snapshots.read(read, counted=True)  # for the places of cells
        return _as_requested(query, radar, f"class-{class_id}-errors", ErrorGroup, radar.groups)


def _declare_overview(api: Api, *, is_open: bool) -> None:
    @api.operation("GET", "/overview")
    async def get_overview(snapshots: Snapshots, query: OverviewQuery) -> Listing[ClassOverview]:
        """The caller's classes that have not ended, each in a line: who works, fails, asks."""
        return await snapshots.read_by_class(partial(overview, query=query, is_open=is_open))


def _declare_cells(
    api: Api, shown: Callable[[int], ClassIds], kept: Kept, *, is_open: bool
) -> None:
    @api.operation(
        "GET",
        "/classes/{class_id}/notebooks/{notebook_id}/students",
        raises=(NotFound,),
        media=_MEDIA,
    )
    async def get_notebook_students(
        snapshots: Snapshots, class_id: Id, notebook_id: Id, query: StudentCellsQuery
    ) -> Listing[StudentCell] | Response:
        """A notebook in a class, student by student: the cells that each has reached.

        Pages and total are of students.
        """

        async def fetch_page(page: StudentCellsQuery) -> Listing[StudentCell]:
            read = partial(
                student_cells,
                class_ids=shown(class_id),
                notebook_id=notebook_id,
                query=page,
                kept=kept,
            )
            return await snapshots.read(read, counted=True)

        name = f"class-{class_id}-notebook-{notebook_id}-students"
        return await _student_pages(query, fetch_page, name, StudentCell)

    @api.operation(
        "GET",
        "/classes/{class_id}/notebooks/{notebook_id}/cells",
        raises=(NotFound,),
        media=_MEDIA,
    )
    async def get_notebook_cells(
        snapshots: Snapshots, class_id: Id, notebook_id: Id, query: CellsQuery
    ) -> NotebookProgress | Response:
        """A notebook in a class, cell by cell: how far the students got, and their errors."""
        read = partial(
            notebook_progress,
            class_ids=shown(class_id),
            notebook_id=notebook_id,
            query=query,
            kept=kept,
        )
        return _notebook(query, await snapshots.read(read, counted=True))

    @api.operation("GET", "/assignments/{assignment_id}/cells", raises=(NotFound,), media=_MEDIA)
    async def get_assignment_cells(
        snapshots: Snapshots, assignment_id: Id, query: CellsQuery
    ) -> NotebookProgress | Response:
        """An assignment's notebook in its class, cell by cell."""
        read = partial(
            assignment_progress,
            assignment_id=assignment_id,
            query=query,
            kept=kept,
            is_open=is_open,
        )
        return _notebook(query, await snapshots.read(read, counted=True))

    @api.operation("GET", "/assignments/{assignment_id}/progress", raises=(NotFound,))
    async def get_assignment_progress(
        snapshots: Snapshots, assignment_id: Id
    ) -> AssignmentProgress:
        """How far each student has got in an assignment, and who has handed it in."""
        read = partial(assignment_students, assignment_id=assignment_id, kept=kept, is_open=is_open)
        return await snapshots.read(read, counted=True)


def _declare_timelines(api: Api, *, is_open: bool) -> None:
    @api.operation("GET", f"{_STUDENT}/timeline", raises=(NotFound,), media=_MEDIA)
    async def get_timeline(
        snapshots: Snapshots, student_id: Id, query: TimelineQuery
    ) -> CursorPage[Execution] | Response:
        """A student's executions, newest first; instructors see those in their own classes."""

        async def fetch_page(page: TimelineQuery) -> CursorPage[Execution]:
            read = partial(executions, student_id=student_id, query=page, is_open=is_open)
            return await snapshots.read_by_class(read, student_id=student_id)

        return await _pages(query, fetch_page, f"student-{student_id}-executions", Execution)

    @api.operation("GET", f"{_STUDENT}/pictures", raises=(NotFound,))
    async def get_pictures(
        snapshots: Snapshots, student_id: Id, query: PicturesQuery
    ) -> list[Picture]:
        """The pictures that an execution of the student's showed, such as plots."""
        read = partial(pictures, student_id=student_id, query=query)
        return await snapshots.read_by_class(read, student_id=student_id)

    @api.operation("GET", f"{_STUDENT}/accesses", raises=(NotFound,), media=_MEDIA)
    async def get_accesses(
        snapshots: Snapshots, student_id: Id, query: PageQuery
    ) -> CursorPage[NotebookAccess] | Response:
        """When a student used notebooks, newest first; instructors see their own classes."""

        async def fetch_page(page: PageQuery) -> CursorPage[NotebookAccess]:
            return await snapshots.read_by_class(
                partial(accesses, student_id=student_id, query=page), student_id=student_id
            )

        return await _pages(query, fetch_page, f"student-{student_id}-accesses", NotebookAccess)


def _declare_students(api: Api) -> None:
    @api.operation("GET", f"{_STUDENT}/sessions", raises=(NotFound,), media=_MEDIA)
    async def get_sessions(
        snapshots: Snapshots, student_id: Id, query: PageQuery
    ) -> CursorPage[StudentSession] | Response:
        """A student's JupyterLab sessions, newest first; for themselves and administrators.

        A session is not of a class.
        """

        async def fetch_page(page: PageQuery) -> CursorPage[StudentSession]:
            return await snapshots.read(partial(sessions, student_id=student_id, query=page))

        return await _pages(query, fetch_page, f"student-{student_id}-sessions", StudentSession)

    @api.operation("GET", f"{_STUDENT}/submissions", raises=(NotFound,), media=_MEDIA)
    async def get_submissions(
        snapshots: Snapshots, student_id: Id, query: PageQuery
    ) -> CursorPage[StudentSubmission] | Response:
        """A student's submissions, newest first; instructors see those in their own classes."""

        async def fetch_page(page: PageQuery) -> CursorPage[StudentSubmission]:
            return await snapshots.read_by_class(
                partial(submissions, student_id=student_id, query=page), student_id=student_id
            )

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


async def _student_pages(
    query: S,
    fetch_page: Callable[[S], Awaitable[Listing[T]]],
    name: str,
    row_type: type[T],
) -> Listing[T] | Response:
    """The requested page or, as the CSV file `name`, that of these students and all after them."""
    page = await fetch_page(query)
    if query.format == "json":
        return page

    async def items() -> AsyncIterator[list[T]]:
        current, skip = page, query.skip
        yield current.items
        while (skip := skip + query.limit) < current.total:
            current = await fetch_page(msgspec.structs.replace(query, skip=skip))
            yield current.items

    return csv_stream(name, row_type, items())


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
