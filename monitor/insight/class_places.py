"""The places of a class's notebook, with the cells that are there."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from heapq import heappush, heappushpop
from typing import Any, NamedTuple, TypeVar

import msgspec

from monitor.insight.notebook_rows import ADDED, INDEX, NAMED, Cell
from monitor.pace import Pace

T = TypeVar("T")
Rank = tuple[int, bool, int, int, int]


class Reached(msgspec.Struct, gc=False):
    """What a person did at a place, in all their cells there.

    `named` is a cell with the place's name. Where somebody has several cells at a place, and errors
    in one are mixed with the first success in another, those before that cell's own success are
    taken.
    """

    student_id: int
    is_student: bool
    at: int | None
    named: int | None
    type: str | None
    executions: int
    errors: int
    first_success_at: datetime | None
    errors_before_success: int | None
    durations: int

    @property
    def attempts(self) -> int | None:
        """The executions up to the first success, included; None without one."""
        if self.first_success_at is None or self.errors_before_success is None:
            return None
        return self.errors_before_success + 1


class Place:
    """The cells at a place. What is made of them is kept until they change."""

    def __init__(self, kind: int, key: int) -> None:
        self.kind = kind
        self.key = key
        self.cells: set[Cell] = set()
        self._made: dict[Callable[..., Any], Any] = {}

    def changed(self) -> None:
        """Forgets what was made of the cells."""
        self._made.clear()

    def of(self, make: Callable[["Place"], T]) -> T:
        """What `make`, a function of a module, returns for this place as it is."""
        try:
            made: T = self._made[make]
        except KeyError:
            made = self._made[make] = make(self)
        return made

    def text(self, name: str | None) -> str:
        """The place in words; `name` is the cell's id, where the kind is NAMED."""
        if self.kind == NAMED:
            return f"id:{name}"
        return f"{'index' if self.kind == INDEX else 'added'}:{self.key}"


def cells_by_person(place: Place) -> dict[int, list[Cell]]:
    """The cells of each person there."""
    cells = defaultdict(list)
    for cell in place.cells:
        cells[cell.student_id].append(cell)
    return cells


def reached(place: Place) -> list[Reached]:
    """Who has reached the place, students and staff."""
    return reached_by(place.key, place.of(cells_by_person).values())


def reached_by(key: int, cells: Iterable[list[Cell]]) -> list[Reached]:
    """Each of these people's cells at a place with this key, as one."""
    return [_alone(key, each[0]) if len(each) == 1 else _together(key, each) for each in cells]


def _alone(key: int, cell: Cell) -> Reached:
    return Reached(
        cell.student_id,
        cell.is_student,
        cell.at,
        cell.id if cell.name_hash == key else None,
        cell.type,
        cell.executions,
        cell.errors,
        cell.first_success_at,
        cell.errors_before_success,
        cell.durations,
    )


def _together(key: int, cells: list[Cell]) -> Reached:
    success = min(
        (cell.first_success_at for cell in cells if cell.first_success_at is not None), default=None
    )
    before = [n for cell in cells if (n := _errors_before(success, cell)) is not None]
    return Reached(
        cells[0].student_id,
        cells[0].is_student,
        min((cell.at for cell in cells if cell.at is not None), default=None),
        min((cell.id for cell in cells if cell.name_hash == key), default=None),
        max((cell.type for cell in cells if cell.type is not None), default=None),
        sum(cell.executions for cell in cells),
        sum(cell.errors for cell in cells),
        success,
        sum(before) if before else None,
        sum(cell.durations for cell in cells),
    )


def _errors_before(until: datetime | None, cell: Cell) -> int | None:
    """How many of a cell's errors were before this time, as the SQL function of that name."""
    if cell.errors == 0 or (until and cell.first_error_at and cell.first_error_at >= until):
        return 0
    if until is None or (cell.last_error_at and cell.last_error_at < until):
        return cell.errors
    return cell.errors_before_success


def position(place: Place) -> int | None:
    """The index that most have; None where none is known."""
    return min((cell.at for cell in place.cells if cell.at is not None), default=None)


def named_cell(place: Place) -> Cell | None:
    """A cell with the place's name, the oldest; None where the place has none."""
    if place.kind != NAMED:
        return None
    named = (cell for cell in place.cells if cell.name_hash == place.key)
    return min(named, key=lambda cell: cell.id, default=None)


def order(place: Place) -> tuple[bool, int, int, int]:
    """The key by which places are in the order of the notebook; without an index last."""
    at = place.of(position)
    return at is None, at or 0, place.kind, place.key


def rank(place: Place) -> Rank:
    """Greater where more students have reached the place and, of as many, further above."""
    is_nowhere, at, kind, key = order(place)
    return sum(each.is_student for each in place.of(reached)), not is_nowhere, -at, -kind, -key


async def all_made(make: Callable[[Place], T], places: Iterable[Place], pace: Pace) -> list[T]:
    """What `make` returns for each of these places."""
    made = []
    for place in places:
        made.append(place.of(make))
        if pace.is_due:
            await pace.rest()
    return made


async def most_reached(places: Iterable[Place], most: int, pace: Pace) -> list[Place]:
    """At most so many of these: those that most students have reached, these first."""
    best: list[tuple[Rank, Place]] = []  # a heap
    for place in places:
        ranked = place.of(rank), place  # no two ranks are equal
        if len(best) < most:
            heappush(best, ranked)
        else:
            heappushpop(best, ranked)
        if pace.is_due:
            await pace.rest()
    return [place for _, place in sorted(best, reverse=True)]


class BestRun(NamedTuple):
    """Somebody's cell with the code of most at a place, and where it is in their notebook.

    It is that of who ran the code there last.
    """

    student: int
    alias: int
    cell: int
    at: int | None


def best_run(place: Place) -> BestRun | None:
    """That among all cells there; None where nobody ran code."""
    return best_of(place.cells)


def best_of(cells: Iterable[Cell]) -> BestRun | None:
    """That among these. Of as many votes the greatest number of a code, so that it is the same."""
    by_code: dict[int, list[Cell]] = defaultdict(list)
    for cell in cells:
        if cell.code_hash is not None:
            by_code[cell.code_hash].append(cell)
    if not by_code:
        return None
    _, code = max((len(cells), code) for code, cells in by_code.items())
    return _latest(by_code[code])


def _latest(cells: list[Cell]) -> BestRun | None:
    times = [cell.code_at for cell in cells if cell.code_at is not None]
    if not times:
        return None
    latest = max(times)
    best = max(
        (cell for cell in cells if cell.code_at == latest),
        key=lambda cell: (cell.student_id, cell.alias_id, cell.id),
    )
    return BestRun(best.student_id, best.alias_id, best.id, best.index)


KINDS = {"id": NAMED, "index": INDEX, "added": ADDED}  # by the words of `Place.text`
