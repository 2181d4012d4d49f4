"""Where failed runs of a class's notebooks are, and who is still at them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from monitor.database.pool import Connection
from monitor.insight.class_notebook import ClassNotebook
from monitor.insight.class_places import KINDS, cells_by_person, named_cell
from monitor.insight.kept import Kept
from monitor.insight.notebook_rows import NAMED
from monitor.insight.query import ClassIds, Notebook, alias_ids_of
from monitor.insight.recent_runs import Failure, Moment, Solved
from monitor.insight.versions import People

MAX_NOTEBOOKS = 50  # whose cells are put in place, in one answer
_WORDS = {kind: word for word, kind in KINDS.items()}


class FailurePlace(NamedTuple):
    """A place in a notebook; None in none. `named` is a cell with its id, if it has one."""

    notebook_id: int | None
    notebook_path: str | None
    kind: int | None
    place_key: int | None
    position: int | None
    named: int | None

    @property
    def key(self) -> tuple[int | None, ...]:
        """What is the same for all failures at the place."""
        return self.notebook_id, self.kind, self.place_key

    def text(self, name: str | None) -> str | None:
        """The place in words; `name` is the cell's id."""
        if self.kind is None:
            return None
        return f"{_WORDS[self.kind]}:{name if self.kind == NAMED else self.place_key}"


class PlacedFailure(NamedTuple):
    """It is open while the student had no success at the place since."""

    failure: Failure
    place: FailurePlace
    is_open: bool


async def failure_places(
    connection: Connection,
    class_ids: ClassIds,
    people: People,
    failures: list[Failure],
    solved: Solved,
    kept: Kept,
) -> list[PlacedFailure]:
    """All of these failures, each with its place as the notebook's cells have it.

    Beyond MAX_NOTEBOOKS notebooks, those in which fewest students failed, a cell is its id.
    """
    by_notebook = await _by_notebook(connection, class_ids, failures)
    most_students = sorted(by_notebook, key=lambda each: -_students(by_notebook[each]))
    in_place = [each.id for each in most_students if each.id is not None][:MAX_NOTEBOOKS]
    aliases = await alias_ids_of(connection, class_ids, in_place)
    placed: list[PlacedFailure] = []
    for path, theirs in by_notebook.items():
        if path.id is None or path.id not in aliases:
            placed += _placed(path, theirs, solved, None)
            continue
        notebook = Notebook(path.id, path.path or "", aliases[path.id])
        async with kept.notebook(connection, class_ids, notebook, people) as (cells, pace):
            for each in _placed(path, theirs, solved, cells):
                placed.append(each)
                if pace.is_due:
                    await pace.rest()
    return placed


class _Path(NamedTuple):
    """A notebook in the class; None for what was run in none."""

    id: int | None
    path: str | None


_Cells = list[tuple[int | None, int | None]]  # each an alias and a cell


def _students(failures: list[Failure]) -> int:
    return len({failure.student_id for failure in failures})


async def _by_notebook(
    connection: Connection, class_ids: ClassIds, failures: list[Failure]
) -> dict[_Path, list[Failure]]:
    alias_ids = {failure.alias_id for failure in failures if failure.alias_id is not None}
    rows = await connection.fetch(_SELECT_NOTEBOOKS, class_ids, alias_ids) if alias_ids else ()
    paths: dict[int | None, _Path] = {alias: _Path(id_, path) for alias, id_, path in rows}
    found = defaultdict(list)
    for failure in failures:
        found[paths.get(failure.alias_id, _Path(None, None))].append(failure)
    return found


def _placed(
    path: _Path, failures: Iterable[Failure], solved: Solved, cells: ClassNotebook | None
) -> Iterator[PlacedFailure]:
    """Failures in one notebook; without `cells` each cell is its own place."""
    last: dict[tuple[int, tuple[int | None, ...]], Moment | None] = {}
    for failure in failures:
        student = failure.student_id
        cell = cells and cells.cell(student, failure.alias_id, failure.cell_id)
        if cells and cell:
            there = cells.places[cell.kind, cell.key]
            named = there.of(named_cell)
            named_id = None if named is None else named.id
            place = FailurePlace(*path, cell.kind, cell.key, cell.at, named_id)
            here = there.of(cells_by_person)[student]
            theirs: _Cells = [(each.alias_id, each.id) for each in here]
        else:
            kind = None if failure.cell_id is None else NAMED
            place = FailurePlace(*path, kind, failure.cell_id, None, failure.cell_id)
            in_notebook = cells.alias_ids if cells and kind is None else (failure.alias_id,)
            theirs = [(alias, failure.cell_id) for alias in in_notebook]
        key = student, place.key
        if key not in last:
            last[key] = _last_success(theirs, solved[student])
        success = last[key]
        is_open = success is None or (failure.at, failure.executed_at) > success
        yield PlacedFailure(failure, place, is_open)


def _last_success(
    cells: _Cells, solved: Mapping[tuple[int | None, int | None], Moment]
) -> Moment | None:
    return max((moment for cell in cells if (moment := solved.get(cell))), default=None)


# Aliases of one path in the class and in none are of one notebook.
_SELECT_NOTEBOOKS = """
    WITH said AS MATERIALIZED (
        SELECT a.id AS alias_id, COALESCE(own.id, n.id) AS id, n.path
        FROM unnest($2::bigint[]) AS wanted (id)
        CROSS JOIN LATERAL (
            SELECT id, notebook_id FROM notebook_aliases WHERE id = wanted.id OFFSET 0
        ) AS a
        CROSS JOIN LATERAL (SELECT id, path FROM notebooks WHERE id = a.notebook_id OFFSET 0) AS n
        LEFT JOIN LATERAL (
            SELECT id FROM notebooks WHERE class_id = ($1::bigint[])[1] AND path = n.path OFFSET 0
        ) AS own ON true
    ), copies AS MATERIALIZED (
        SELECT * FROM notebook_copies($1, ARRAY(SELECT id FROM said))
    )
    SELECT said.alias_id, COALESCE(copy.id, said.id), COALESCE(copy.path, said.path)
    FROM said LEFT JOIN LATERAL (
        SELECT n.id, n.path FROM copies CROSS JOIN LATERAL (
            SELECT id, path FROM notebooks WHERE id = copies.counts_for OFFSET 0
        ) AS n
        WHERE copies.notebook_id = said.id OFFSET 0
    ) AS copy ON true
"""
