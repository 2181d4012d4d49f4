"""A notebook in a class, cell by cell: how far the students got, and their errors."""

from collections import defaultdict
from statistics import median
from typing import Annotated, Any, NamedTuple

import msgspec

from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.insight.class_places import (
    Place,
    all_made,
    best_run,
    most_reached,
    order,
    position,
    reached,
)
from monitor.insight.kept import Kept
from monitor.insight.notebook_rows import MAX_CELLS
from monitor.insight.packed_counts import percentile, unpack
from monitor.insight.query import ClassIds, Query, class_notebook, shown_classes
from monitor.insight.versions import class_people

MAX_ERRORS = 20  # of a cell


class CellsQuery(Query, frozen=True, kw_only=True):
    """`errors`: how many of a cell's most frequent errors to show."""

    errors: Annotated[int, msgspec.Meta(ge=0, le=MAX_ERRORS)] = 3


class CellError(msgspec.Struct):
    """An error of a cell, its variable parts as `…`, how often it was met, and by whom."""

    error: str
    count: int
    students: list[str]  # user_ids


class CellProgress(msgspec.Struct):
    """A class's progress in a cell.

    `reached`, `ran`, `failed` and `succeeded` are numbers of students: those with any event of
    the cell, an execution, a failed one, a successful one. Rendering a Markdown or raw cell is no
    execution. `executions` and `errors` are those of all students. `attempts` are a student's
    executions up to the first success, included. Durations are in ms, within 5 %; those below 1 ms
    count as 1.

    `place` is `id:` and the cell's id; `index:3` where the ids are random and the cell is at that
    index; `added:3` for cells that students put before it. Only the first has a `cell_id`.
    `position` is the index that most students have, from 0; null if none is known. `title` is the
    first line of the code that most have there, `heading` the nearest one that a student with that
    code rendered above.
    """

    place: str
    cell_id: str | None
    type: str | None
    position: int | None
    title: str | None
    heading: str | None
    reached: int
    ran: int
    failed: int
    succeeded: int
    executions: int
    errors: int
    attempts_mean: float | None
    attempts_median: float | None
    duration_median_ms: float | None
    duration_p90_ms: float | None
    frequent_errors: list[CellError]


class NotebookProgress(msgspec.Struct):
    """A notebook in a class. `students` is their number; the cells are in the notebook's order.

    `more_cells` is how many are left out of an answer of 1,000: those that fewest have reached.
    """

    class_id: int
    notebook_id: int
    notebook_path: str
    students: int
    cells: list[CellProgress]
    more_cells: int = 0


async def notebook_progress(
    connection: Connection,
    class_ids: ClassIds,
    notebook_id: int,
    query: CellsQuery,
    kept: Kept | None = None,
) -> NotebookProgress:
    """The cells that somebody on the roster has reached, staff included, who aren't counted.

    Without `kept` all rows are read. Raises NotFound.
    """
    people = await class_people(connection, class_ids)
    notebook = await class_notebook(connection, class_ids, notebook_id)
    async with (kept or Kept()).notebook(connection, class_ids, notebook, people) as (all_, pace):
        shown = await most_reached(all_.places.values(), MAX_CELLS, pace)
        shown.sort(key=order)
        runs = await all_made(best_run, shown, pace)
        names = await all_.names(connection, runs)
        ids = await all_.ids(connection, shown)
        counts = await all_made(_counts, shown, pace)
        cells = []
        for place, counted, run in zip(shown, counts, runs, strict=True):
            errors = [
                CellError(error, count, sorted(map(people.students.__getitem__, students)))
                for error, count, students in counted.errors[: query.errors]
            ]
            cell_id = ids.get(place)
            cells.append(
                CellProgress(
                    place=place.text(cell_id),
                    cell_id=cell_id,
                    title=names[run].title,
                    heading=names[run].heading,
                    frequent_errors=errors,
                    **counted.columns,
                )
            )
        more = len(all_.places) - len(shown)
    return NotebookProgress(
        class_ids[0], notebook.id, notebook.path, len(people.students), cells, more_cells=more
    )


async def assignment_progress(
    connection: Connection,
    assignment_id: int,
    query: CellsQuery,
    kept: Kept | None = None,
    *,
    is_open: bool,
) -> NotebookProgress:
    """Raises NotFound."""
    row = await connection.fetchrow(_SELECT_ASSIGNMENT, assignment_id)
    if row is None:
        raise NotFound(f"There is no assignment {assignment_id}")
    class_ids = shown_classes(row["class_id"], is_open=is_open)
    return await notebook_progress(connection, class_ids, row["notebook_id"], query, kept)


class _Counts(NamedTuple):
    """A place's columns of CellProgress, and its errors: text, count and students, by rank."""

    columns: dict[str, Any]
    errors: list[tuple[str, int, list[int]]]


def _counts(place: Place) -> _Counts:
    rows = place.of(reached)
    students = [each for each in rows if each.is_student]
    attempts = [n for each in students if (n := each.attempts) is not None]
    durations = unpack(str(sum(each.durations for each in students)))
    columns: dict[str, Any] = {
        "type": _type([each.type for each in rows if each.type is not None]),
        "position": place.of(position),
        "reached": len(students),
        "ran": sum(each.executions > 0 for each in students),
        "failed": sum(each.errors > 0 for each in students),
        "succeeded": sum(each.first_success_at is not None for each in students),
        "executions": sum(each.executions for each in students),
        "errors": sum(each.errors for each in students),
        "attempts_mean": _mean(attempts),
        "attempts_median": float(median(attempts)) if attempts else None,
        "duration_median_ms": percentile(durations, 0.5),
        "duration_p90_ms": percentile(durations, 0.9),
    }
    return _Counts(columns, _errors(place))


def _type(types: list[str]) -> str | None:
    """That of most people; without a majority of code the greatest other one."""
    if types and 2 * types.count("code") >= len(types):
        return "code"
    return max((each for each in types if each != "code"), default=None)


def _mean(attempts: list[int]) -> float | None:
    """To two decimals, half a hundredth upwards."""
    count = len(attempts)
    return (200 * sum(attempts) + count) // (2 * count) / 100 if count else None


def _errors(place: Place) -> list[tuple[str, int, list[int]]]:
    """By how many students met them, and how often."""
    met: dict[str, dict[int, int]] = defaultdict(dict)
    for cell in place.cells:
        if cell.is_student:
            for error, count in cell.kinds:
                of_error = met[error]
                of_error[cell.student_id] = of_error.get(cell.student_id, 0) + count
    ranked = sorted(met.items(), key=lambda each: (-len(each[1]), -sum(each[1].values()), each[0]))
    return [(error, sum(by.values()), list(by)) for error, by in ranked[:MAX_ERRORS]]


_SELECT_ASSIGNMENT = "SELECT class_id, notebook_id FROM class_assignments WHERE id = $1"
