"""The grades of a class, as JSON, for spreadsheets, and for other systems."""

from functools import partial

from starlette.responses import Response

from monitor.database.paging import Id
from monitor.errors import NotFound
from monitor.http.csv import CSV, csv_response, csv_rows
from monitor.http.operations import Api
from monitor.http.snapshots import Snapshots
from monitor.lms.grade_files import is_plain_id, rows_for
from monitor.lms.grades import GradesQuery, StudentGrade, assignment_grades, class_grades

_MEDIA = {CSV: str}


def declare(api: Api, *, is_open: bool) -> None:
    """`is_open` is whether the server has no credentials."""

    @api.operation("GET", "/classes/{class_id}/grades", raises=(NotFound,), media=_MEDIA)
    async def get_class_grades(
        snapshots: Snapshots, class_id: Id, query: GradesQuery
    ) -> list[StudentGrade] | Response:
        """The grades of all assignments of a class: of each student's latest graded attempt."""
        read = partial(class_grades, class_id=class_id, is_open=is_open)
        return _as_requested(query, f"class-{class_id}-grades", await snapshots.read(read))

    @api.operation("GET", "/assignments/{assignment_id}/grades", raises=(NotFound,), media=_MEDIA)
    async def get_assignment_grades(
        snapshots: Snapshots, assignment_id: Id, query: GradesQuery
    ) -> list[StudentGrade] | Response:
        """The grades of an assignment: of each student's latest graded attempt."""
        read = partial(assignment_grades, assignment_id=assignment_id, is_open=is_open)
        name = f"assignment-{assignment_id}-grades"
        return _as_requested(query, name, await snapshots.read(read))


def _as_requested(
    query: GradesQuery, name: str, grades: list[StudentGrade]
) -> list[StudentGrade] | Response:
    if query.format == "json":
        return grades
    if query.format == "csv":
        return csv_response(name, StudentGrade, grades)
    rows = rows_for(query.format, grades)
    has_mark = query.format != "nbgrader"  # whose readers would take it for a part of a heading
    return csv_rows(f"{name}-{query.format}", rows, is_safe=is_plain_id, has_mark=has_mark)
