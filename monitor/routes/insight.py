"""What teachers ask: a class now, its notebooks cell by cell, its activity, one student's story."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial, wraps
from typing import TypeVar

import msgspec
from msgspec import UNSET
from starlette.responses import Response

from monitor.auth.principal import Principal
from monitor.database.paging import Id
from monitor.database.reads import Reads
from monitor.errors import NotFound
from monitor.http.csv import CSV, csv_response, csv_stream
from monitor.http.operations import Api
from monitor.insight.activity import Activity, ActivityQuery, class_activity
from monitor.insight.cells import (
    CellProgress,
    CellsQuery,
    NotebookProgress,
    assignment_progress,
    notebook_progress,
)
from monitor.insight.class_replay import class_then
from monitor.insight.class_state import NowQuery, StudentNow, class_now
from monitor.insight.heatmap import StudentCell, student_cells
from monitor.insight.pages import PageOf, Span
from monitor.insight.question import Question
from monitor.insight.radar import ErrorGroup, Radar, RadarQuery, error_radar
from monitor.insight.student import SessionOf, SubmissionOf, sessions, submissions
from monitor.insight.timeline import Access, Execution, TimelineSpan, accesses, executions

F = TypeVar("F")
S = TypeVar("S", bound=Span)
T = TypeVar("T", bound=msgspec.Struct)

_TABLE = {CSV: str}


def declare(api: Api, reads: Reads) -> None:
    _declare_classes(api, reads)
    _declare_cells(api, reads)
    _declare_students(api, reads)


def _declare_classes(api: Api, reads: Reads) -> None:
    @api.operation("GET", "/classes/{class_id}/now", raises=(NotFound,), media=_TABLE)
    async def get_class_now(class_id: Id, query: NowQuery) -> list[StudentNow] | Response:
        """A class now, or at an earlier moment: the state of each of its students."""
        found = await (
            class_now(reads, class_id, query)
            if query.at is UNSET
            else class_then(reads, class_id, query.at, query)
        )
        return _as_asked(query, found, f"class-{class_id}-now", StudentNow, found)

    @api.operation("GET", "/classes/{class_id}/activity", raises=(NotFound,), media=_TABLE)
    async def get_class_activity(class_id: Id, query: ActivityQuery) -> list[Activity] | Response:
        """A class over time: executions, errors and calls for help in each interval."""
        found = await class_activity(reads, class_id, query)
        return _as_asked(query, found, f"class-{class_id}-activity", Activity, found)

    @api.operation("GET", "/classes/{class_id}/errors", raises=(NotFound,), media=_TABLE)
    async def get_class_errors(class_id: Id, query: RadarQuery) -> Radar | Response:
        """The errors of the last minutes, by cell and kind: what many are stuck at."""
        found = await error_radar(reads, class_id, query)
        return _as_asked(query, found, f"class-{class_id}-errors", ErrorGroup, found.groups)


def _declare_cells(api: Api, reads: Reads) -> None:
    @api.operation(
        "GET",
        "/classes/{class_id}/notebooks/{notebook_id}/students",
        raises=(NotFound,),
        media=_TABLE,
    )
    async def get_notebook_students(
        class_id: Id, notebook_id: Id, query: Question
    ) -> list[StudentCell] | Response:
        """A notebook in a class, student by student: the cells that each has reached."""
        found = await student_cells(reads, class_id, notebook_id)
        name = f"class-{class_id}-notebook-{notebook_id}-students"
        return _as_asked(query, found, name, StudentCell, found)

    @api.operation(
        "GET",
        "/classes/{class_id}/notebooks/{notebook_id}/cells",
        raises=(NotFound,),
        media=_TABLE,
    )
    async def get_notebook_cells(
        class_id: Id, notebook_id: Id, query: CellsQuery
    ) -> NotebookProgress | Response:
        """A notebook in a class, cell by cell: who got how far, and what stops them."""
        return answer(await notebook_progress(reads, class_id, notebook_id, query), query)

    @api.operation("GET", "/assignments/{assignment_id}/cells", raises=(NotFound,), media=_TABLE)
    async def get_assignment_cells(
        assignment_id: Id, query: CellsQuery
    ) -> NotebookProgress | Response:
        """An assignment's notebook in its class, cell by cell."""
        return answer(await assignment_progress(reads, assignment_id, query), query)

    def answer(found: NotebookProgress, query: CellsQuery) -> NotebookProgress | Response:
        name = f"class-{found.class_id}-notebook-{found.notebook_id}"
        return _as_asked(query, found, name, CellProgress, found.cells)


def _declare_students(api: Api, reads: Reads) -> None:
    def path(what: str) -> str:
        return f"/students/{{student_id}}/{what}"

    @api.operation("GET", path("timeline"), raises=(NotFound,), media=_TABLE)
    async def get_timeline(student_id: Id, query: TimelineSpan) -> PageOf[Execution] | Response:
        """A student's executions, newest first."""
        return await _pages(reads, executions, Execution, student_id, query)

    @api.operation("GET", path("accesses"), raises=(NotFound,), media=_TABLE)
    async def get_accesses(student_id: Id, query: Span) -> PageOf[Access] | Response:
        """A student's notebooks opened, saved and closed, newest first."""
        return await _pages(reads, accesses, Access, student_id, query)

    @api.operation("GET", path("sessions"), raises=(NotFound,), media=_TABLE)
    async def get_sessions(student_id: Id, query: Span) -> PageOf[SessionOf] | Response:
        """A student's JupyterLab sessions, newest first."""
        return await _pages(reads, sessions, SessionOf, student_id, query)

    @api.operation("GET", path("submissions"), raises=(NotFound,), media=_TABLE)
    async def get_submissions(
        student_id: Id, query: Span, caller: Principal
    ) -> PageOf[SubmissionOf] | Response:
        """What a student handed in, newest first; an instructor sees what is of their classes."""
        teacher = caller.name if caller.role == "instructor" else None
        question = wraps(submissions)(partial(submissions, teacher=teacher))
        return await _pages(reads, question, SubmissionOf, student_id, query)


def _as_asked(
    query: Question, found: F, name: str, kind: type[T], rows: Iterable[T]
) -> F | Response:
    return csv_response(name, kind, rows) if query.format == "csv" else found


async def _pages(
    reads: Reads,
    question: Callable[[Reads, int, S], Awaitable[PageOf[T]]],
    kind: type[T],
    student_id: int,
    query: S,
) -> PageOf[T] | Response:
    """The page that is asked for, or as CSV all from there on."""
    page = await question(reads, student_id, query)
    if query.format == "json":
        return page

    async def items() -> AsyncIterator[list[T]]:
        shown = page
        yield shown.items
        while shown.next:
            following = msgspec.structs.replace(query, cursor=shown.next)
            shown = await question(reads, student_id, following)
            yield shown.items

    return csv_stream(f"student-{student_id}-{question.__name__}", kind, items())
