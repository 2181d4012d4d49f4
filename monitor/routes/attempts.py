"""How students got through a cell, attempt by attempt, and through an assignment, cell by cell."""

from collections.abc import AsyncIterator, Callable
from functools import partial

import msgspec
from starlette.responses import Response

from monitor.auth.call import Call
from monitor.database.paging import Id
from monitor.errors import Conflict, NotFound
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
from monitor.insight.kept import Kept
from monitor.insight.query import ClassIds, Query, shown_classes
from monitor.insight.run_changes import RunChanges, run_changes
from monitor.insight.timeline import TimelineQuery
from monitor.workers.pool import Workers

_MEDIA = {CSV: str}


def declare(api: Api, workers: Workers, kept: Kept, *, is_open: bool) -> None:
    """`workers` compare codes; `kept` is what is kept of classes that are looked at.

    `is_open`: the server needs no credentials; its classes also show what was done in none.
    """
    _declare_attempts(api, partial(shown_classes, is_open=is_open), workers, kept)
    _declare_changes(api, workers, is_open=is_open)
    _declare_analysis(api, kept, is_open=is_open)


def _declare_attempts(
    api: Api, shown: Callable[[int], ClassIds], workers: Workers, kept: Kept
) -> None:
    @api.operation(
        "GET",
        "/classes/{class_id}/notebooks/{notebook_id}/attempts",
        raises=(NotFound, Conflict),
        media=_MEDIA,
        in_turns=False,
    )
    async def get_cell_attempts(
        snapshots: Snapshots, call: Call, class_id: Id, notebook_id: Id, query: AttemptsQuery
    ) -> CellAttempts | Response:
        """The attempts of all students at a cell, newest first, each with what changed in it."""

        async def fetch(page: AttemptsQuery) -> ReadAttempts:
            read = partial(
                cell_attempts,
                class_ids=shown(class_id),
                notebook_id=notebook_id,
                query=page,
                kept=kept,
            )
            return await snapshots.read(read, counted=True)

        first = await fetch(query)
        if query.format == "json":
            return await first.compared(workers, call.payer)

        async def pages() -> AsyncIterator[list[Attempt]]:
            current = first
            yield current.attempts
            while current.page.next:
                page = msgspec.structs.replace(query, cursor=current.page.next)
                current = await fetch(page)
                yield current.attempts

        name = f"class-{class_id}-notebook-{notebook_id}-attempts"
        return csv_stream(name, Attempt, pages())


def _declare_changes(api: Api, workers: Workers, *, is_open: bool) -> None:
    @api.operation(
        "GET", "/students/{student_id}/changes", raises=(NotFound, Conflict), in_turns=False
    )
    async def get_changes(
        snapshots: Snapshots, call: Call, student_id: Id, query: TimelineQuery
    ) -> list[RunChanges]:
        """What a student changed between two runs of a cell, for a page of their timeline."""
        read = partial(run_changes, student_id=student_id, query=query, is_open=is_open)
        runs = await snapshots.read_by_class(read, student_id=student_id)
        return await runs.compared(workers, call.payer)


def _declare_analysis(api: Api, kept: Kept, *, is_open: bool) -> None:
    @api.operation("GET", "/assignments/{assignment_id}/analysis", raises=(NotFound,), media=_MEDIA)
    async def get_assignment_analysis(
        snapshots: Snapshots, assignment_id: Id, query: Query
    ) -> AssignmentAnalysis | Response:
        """An assignment cell by cell: who tried it, who solved it, after how long, who is stuck."""
        read = partial(assignment_analysis, assignment_id=assignment_id, kept=kept, is_open=is_open)
        analysis = await snapshots.read(read, counted=True)
        if query.format == "csv":
            return csv_response(
                f"assignment-{assignment_id}-analysis", CellAnalysis, analysis.cells
            )
        return analysis
