"""How far each student has got in an assignment."""

from collections import Counter
from typing import Annotated, NamedTuple

import msgspec

from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.insight.class_notebook import ClassNotebook
from monitor.insight.class_places import Place, all_made, reached
from monitor.insight.kept import Kept
from monitor.insight.notebook_rows import ADDED
from monitor.insight.query import class_notebook, shown_classes
from monitor.insight.versions import class_people
from monitor.pace import Pace

_SHARE = 0.2  # of those who have run anything, who have to run a cell for it to count


class StudentProgress(msgspec.Struct):
    """`succeeded` is in how many of the assignment's cells the student had a success."""

    student_id: int
    succeeded: int
    handed_in: bool


class AssignmentProgress(msgspec.Struct):
    """Students who have run nothing and handed nothing in are left out.

    `cells` is how many cells count: those that at least a fifth of the students have run who have
    run anything, so that what one of them adds for themselves doesn't. It grows as they go on.
    """

    assignment_id: int
    class_id: int
    notebook_id: int
    title: str
    cells: int
    students: Annotated[list[StudentProgress], msgspec.Meta(description="By student_id")]


async def assignment_students(
    connection: Connection, assignment_id: int, kept: Kept | None = None, *, is_open: bool
) -> AssignmentProgress:
    """Without `kept` all rows are read. Raises NotFound."""
    row = await connection.fetchrow(_SELECT_ASSIGNMENT, assignment_id)
    if row is None:
        raise NotFound(f"There is no assignment {assignment_id}")
    class_ids = shown_classes(row["class_id"], is_open=is_open)
    people = await class_people(connection, class_ids)
    notebook = await class_notebook(connection, class_ids, row["notebook_id"])
    async with (kept or Kept()).notebook(connection, class_ids, notebook, people) as (all_, pace):
        cells, succeeded = await _progress(all_, pace)
    submitted = await connection.fetch(_SELECT_SUBMITTED, assignment_id, list(people.students))
    handed_in = {each["student_id"] for each in submitted}
    return AssignmentProgress(
        **row,
        cells=cells,
        students=[
            StudentProgress(student, succeeded.get(student, 0), student in handed_in)
            for student in sorted(succeeded.keys() | handed_in)
        ],
    )


class _Run(NamedTuple):
    """The students who have run a cell, and those of them who had a success."""

    ran: list[int]
    solved: list[int]


def _run(place: Place) -> _Run:
    ran = [each for each in place.of(reached) if each.is_student and each.executions > 0]
    return _Run(
        [each.student_id for each in ran],
        [each.student_id for each in ran if each.first_success_at is not None],
    )


async def _progress(notebook: ClassNotebook, pace: Pace) -> tuple[int, dict[int, int]]:
    """How many cells count, and in how many of them each of those had a success who ran any."""
    asked = [place for place in notebook.places.values() if place.kind != ADDED]
    runs = [run for run in await all_made(_run, asked, pace) if run.ran]
    students = set[int]().union(*(run.ran for run in runs))
    counted = [run for run in runs if len(run.ran) >= _SHARE * len(students)]
    succeeded = Counter(dict.fromkeys(students, 0))
    for run in counted:
        succeeded.update(run.solved)
    return len(counted), succeeded


_SELECT_ASSIGNMENT = """
    SELECT id AS assignment_id, class_id, notebook_id, title FROM class_assignments WHERE id = $1
"""

_SELECT_SUBMITTED = """
    SELECT DISTINCT student_id FROM assignment_submissions
    WHERE assignment_id = $1 AND student_id = ANY ($2::bigint[])
"""
