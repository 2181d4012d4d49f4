"""A notebook in a class, student by student and cell by cell."""

import msgspec

from monitor.database.paging import Limit, Listing, Skip
from monitor.database.pool import Connection
from monitor.insight.class_places import most_reached, order, reached
from monitor.insight.kept import Kept
from monitor.insight.notebook_rows import MAX_CELLS
from monitor.insight.query import ClassIds, Query, class_notebook
from monitor.insight.versions import class_people


class StudentCellsQuery(Query, frozen=True, kw_only=True):
    """A page of students, by user_id."""

    skip: Skip = 0
    limit: Limit = 500


class StudentCell(msgspec.Struct):
    """A cell that a student has reached; `place` is that of the class's cells.

    `attempts` are the executions up to the first success.
    """

    student_id: int
    place: str
    cell_id: str | None
    executions: int
    errors: int
    succeeded: bool
    attempts: int | None


async def student_cells(
    connection: Connection,
    class_ids: ClassIds,
    notebook_id: int,
    query: StudentCellsQuery,
    kept: Kept | None = None,
) -> Listing[StudentCell]:
    """Only cells that were reached, by student and the notebook's order; the total is of students.

    Of more than 1,000 cells, those that most students reached. Without `kept` all rows are read.
    Raises NotFound.
    """
    people = await class_people(connection, class_ids)
    notebook = await class_notebook(connection, class_ids, notebook_id)
    page = list(people.students)[query.skip : query.skip + query.limit]
    cells: dict[int, list[StudentCell]] = {student: [] for student in sorted(page)}
    async with (kept or Kept()).notebook(connection, class_ids, notebook, people) as (all_, pace):
        shown = await most_reached(all_.places.values(), MAX_CELLS, pace)
        ids = await all_.ids(connection, shown)
        for place in sorted(shown, key=order):
            cell_id = ids.get(place)
            text = place.text(cell_id)
            for each in place.of(reached):
                if each.student_id in cells:
                    cells[each.student_id].append(
                        StudentCell(
                            each.student_id,
                            text,
                            cell_id,
                            each.executions,
                            each.errors,
                            each.first_success_at is not None,
                            each.attempts,
                        )
                    )
            if pace.is_due:
                await pace.rest()
    return Listing([cell for each in cells.values() for cell in each], len(people.students))
