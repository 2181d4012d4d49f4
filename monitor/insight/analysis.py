"""Item analysis of an assignment: who solved which cell, after how many attempts and how long."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import chain
from statistics import median
from typing import NamedTuple

import msgspec

from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.insight.cell_names import CellName
from monitor.insight.class_notebook import ClassNotebook
from monitor.insight.class_places import BestRun, Place, Reached, all_made, best_of, reached_by
from monitor.insight.kept import Kept
from monitor.insight.notebook_rows import MAX_CELLS, Cell
from monitor.insight.query import class_notebook, shown_classes
from monitor.insight.versions import class_people
from monitor.pace import Pace


class CellAnalysis(msgspec.Struct, kw_only=True):
    """How a class got through a cell of code that a student ran.

    `place`, `title` and `heading` are as in a notebook's cells.
    `tried` and `solved` are numbers of students; each of the others who tried is in `stuck`.
    Students are user_ids. Attempts are a student's executions up to the first success, included;
    the time, in seconds, is that from the first attempt to the first success. Both are of those who
    solved it. `handed_in_unsolved` handed the assignment in without having solved the cell.
    """

    place: str
    cell_id: str | None
    position: int | None
    title: str | None
    heading: str | None
    tried: int
    solved: int
    attempts_mean: float | None
    attempts_median: float | None
    solving_time_median: float | None
    solved_by: list[str]
    stuck: list[str]
    handed_in_unsolved: list[str]


class AssignmentAnalysis(msgspec.Struct, kw_only=True):
    """An assignment in its class, cell by cell in the notebook's order; at most 1,000 cells.

    `students` is how many the class has. `handed_in`, `late` and `graded` are numbers of students,
    by the last thing that each handed in; so is the grade's mean.
    """

    assignment_id: int
    class_id: int
    notebook_id: int
    notebook_path: str
    title: str
    points: float | None
    students: int
    handed_in: int
    late: int
    graded: int
    grade_mean: float | None
    cells: list[CellAnalysis]


async def assignment_analysis(
    connection: Connection, assignment_id: int, kept: Kept | None = None, *, is_open: bool
) -> AssignmentAnalysis:
    """Of today's students of the class. Without `kept` all rows are read. Raises NotFound."""
    assignment = await connection.fetchrow(_SELECT_ASSIGNMENT, assignment_id)
    if assignment is None:
        raise NotFound(f"There is no assignment {assignment_id}")
    class_ids = shown_classes(assignment["class_id"], is_open=is_open)
    people = await class_people(connection, class_ids)
    students = people.students
    notebook = await class_notebook(connection, class_ids, assignment["notebook_id"])
    handed_in = await connection.fetch(_SELECT_HANDED_IN, assignment_id, list(students))
    grades = [row["grade"] for row in handed_in if row["grade"] is not None]
    owners = {row["student_id"] for row in handed_in}
    async with (kept or Kept()).notebook(connection, class_ids, notebook, people) as (all_, pace):
        shown = await _shown(all_, pace)
        names = await all_.names(connection, [tried.best for _, tried in shown])
        ids = await all_.ids(connection, [place for place, _ in shown])
        cells = [
            _cell(place.text(ids.get(place)), ids.get(place), tried, names[tried.best])
            for place, tried in shown
        ]
    for cell, (_, tried) in zip(cells, shown, strict=True):
        cell.solved_by = _user_ids(tried.solved_by, students)
        cell.stuck = _user_ids(tried.stuck, students)
        cell.handed_in_unsolved = _user_ids(owners - set(tried.solved_by), students)
    return AssignmentAnalysis(
        assignment_id=assignment_id,
        class_id=class_ids[0],
        notebook_id=notebook.id,
        notebook_path=notebook.path,
        title=assignment["title"],
        points=assignment["points"],
        students=len(students),
        handed_in=len(handed_in),
        late=sum(row["late"] for row in handed_in),
        graded=len(grades),
        grade_mean=round(sum(grades) / len(grades), 2) if grades else None,
        cells=cells,
    )


class _Tried(NamedTuple):
    """A place as far as students ran it. `at` is the index that most of them have, or None."""

    at: int | None
    solved_by: list[int]
    stuck: list[int]
    attempts_mean: float | None
    attempts_median: float | None
    solving_time_median: float | None
    best: BestRun | None


def _tried(place: Place) -> _Tried:
    """The first attempt is the first error or success.

    Where somebody has several cells at a place, the earliest of either counts.
    """
    by_student: dict[int, list[Cell]] = defaultdict(list)
    for cell in place.cells:
        if cell.is_student and cell.executions > 0:
            by_student[cell.student_id].append(cell)
    solved: list[Reached] = []
    stuck: list[Reached] = []
    for each in reached_by(place.key, by_student.values()):
        (stuck if each.first_success_at is None else solved).append(each)
    attempts = [n for each in solved if (n := each.attempts) is not None]
    times = [_solving_time(by_student[each.student_id]) for each in solved]
    ran = list(chain.from_iterable(by_student.values()))
    return _Tried(
        min((cell.at for cell in ran if cell.at is not None), default=None),
        [each.student_id for each in solved],
        [each.student_id for each in stuck],
        round(sum(attempts) / len(attempts), 2) if attempts else None,
        float(median(attempts)) if attempts else None,
        round(median(times), 1) if times else None,
        best_of(ran),
    )


def _solving_time(cells: list[Cell]) -> float:
    """Seconds from the first attempt in any of these cells to the first success in one."""
    errors = [cell.first_error_at for cell in cells if cell.first_error_at is not None]
    successes = [cell.first_success_at for cell in cells if cell.first_success_at is not None]
    success = min(successes)
    return (success - min(success, *errors)).total_seconds() if errors else 0.0


async def _shown(notebook: ClassNotebook, pace: Pace) -> list[tuple[Place, _Tried]]:
    """Those that most students ran, in the order of the notebook."""
    places = list(notebook.places.values())
    tried = zip(places, await all_made(_tried, places, pace), strict=True)
    ran = [each for each in tried if each[1].solved_by or each[1].stuck]
    ran.sort(key=lambda each: (-len(each[1].solved_by) - len(each[1].stuck), *_order(*each)))
    return sorted(ran[:MAX_CELLS], key=lambda each: _order(*each))


def _order(place: Place, tried: _Tried) -> tuple[bool, int, int, int]:
    return tried.at is None, tried.at or 0, place.kind, place.key


def _cell(place: str, cell_id: str | None, tried: _Tried, name: CellName) -> CellAnalysis:
    return CellAnalysis(
        place=place,
        cell_id=cell_id,
        position=tried.at,
        title=name.title,
        heading=name.heading,
        tried=len(tried.solved_by) + len(tried.stuck),
        solved=len(tried.solved_by),
        attempts_mean=tried.attempts_mean,
        attempts_median=tried.attempts_median,
        solving_time_median=tried.solving_time_median,
        solved_by=[],
        stuck=[],
        handed_in_unsolved=[],
    )


def _user_ids(ids: Iterable[int], students: dict[int, str]) -> list[str]:
    return sorted(map(students.__getitem__, ids))


_SELECT_ASSIGNMENT = """
    SELECT class_id, notebook_id, title, points FROM class_assignments WHERE id = $1
"""

_SELECT_HANDED_IN = """
    SELECT DISTINCT ON (student_id) student_id, grade, late FROM assignment_submissions
    WHERE assignment_id = $1 AND student_id = ANY ($2::bigint[])
    ORDER BY student_id, attempt DESC
"""
