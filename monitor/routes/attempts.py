"""How students got through a cell, attempt by attempt, and through an assignment, cell by cell."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from monitor.database.paging import Id
from monitor.errors import NotFound
from monitor.http.csv import CSV, csv_response, csv_stream
from monitor.http.operations import Api
from monitor.http.snapshots import Snapshots
from monitor.insight.analysis import AssignmentAnalysis, CellAnalysis, assignment_analysis
from monitor.insight.attempts import (
    Attempt,
    AttemptsQuery,
    CellAttempts,
    ReadAttempts,
    cell_attempts,
)
from monitor.insight.query import ClassIds, Query, shown_classes
from monitor.insight.run_changes import RunChanges, run_changes
from monitor.insight.timeline import TimelineQuery

_MEDIA = {CSV: str}


def declare(api: Api, *, is_open: bool) -> None:
    """`is_open`: the server needs no credentials; its classes also show what was done in none."""
    turn = asyncio.Lock()  # one thread at a time: more would add no speed
    _declare_attempts(api, partial(shown_classes, is_open=is_open), turn)
    _declare_changes(api, turn, is_open=is_open)
    _declare_analysis(api, is_open=is_open)


def _declare_attempts(api: Api, shown: Callable[[int], ClassIds], turn: asyncio.Lock) -> None:
    @api.operation(
        "GET",
        "/classes/{class_id}/notebooks/{notebook_id}/attempts",
        raises=(NotFound,),
        media=_MEDIA,
    )
    async def get_cell_attempts(
        snapshots: Snapshots, class_id: Id, notebook_id: Id, query: AttemptsQuery
    ) -> CellAttempts | Response:
        """The attempts of all students at a cell, newest first, each with what changed in it."""

        async def fetch(page: AttemptsQuery) -> ReadAttempts:
            read = partial(
                cell_attempts, class_ids=shown(class_id), notebook_id=notebook_id, query=page
            )
            return await snapshots.read(read, counted=True)

        first = await fetch(query)
        if query.format == "json":
            async with turn:  # no connection is held meanwhile
                return await run_in_threadpool(first.compared)

        async def pages() -> AsyncIterator[list[Attempt]]:
            current = first
            yield current.attempts
            while current.page.next:
                page = msgspec.structs.replace(query, cursor=current.page.next)
                current = await fetch(page)
                yield current.attempts

        name = f"class-{class_id}-notebook-{notebook_id}-attempts"
        return csv_stream(name, Attempt, pages())


def _declare_changes(api: Api, turn: asyncio.Lock, *, is_open: bool) -> None:
    @api.operation("GET", "/students/{student_id}/changes", raises=(NotFound,))
    async def get_changes(
        snapshots: Snapshots, student_id: Id, query: TimelineQuery
    ) -> list[RunChanges]:
        """What a student changed between two runs of a cell, for a page of their timeline."""
        read = partial(run_changes, student_id=student_id, query=query, is_open=is_open)
        runs = await snapshots.read_by_class(read, student_id=student_id)
        async with turn:  # no connection is held meanwhile
            return await run_in_threadpool(runs.compared)


def _declare_analysis(api: Api, *, is_open: bool) -> None:
    @api.operation("GET", "/assignments/{assignment_id}/analysis", raises=(NotFound,), media=_MEDIA)
    async def get_assignment_analysis(
        snapshots: Snapshots, assignment_id: Id, query: Query
    ) -> AssignmentAnalysis | Response:
        """An assignment cell by cell: who tried it, who solved it, after how long, who is stuck."""
        read = partial(assignment_analysis, assignment_id=assignment_id, is_open=is_open)
        analysis = await snapshots.read(read, counted=True)
        if query.format == "csv":
            return csv_response(
                f"assignment-{assignment_id}-analysis", CellAnalysis, analysis.cells
            )
        return analysis
