"""Puts a person's cells of a notebook in place, by what the class agrees on."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from monitor.insight.notebook_rows import ADDED, INDEX, NAMED, Cell
from monitor.insight.votes import Votes

_NEVER = datetime.min.replace(tzinfo=UTC)


class Where(NamedTuple):
    """A place in the notebook: its kind and key, and the index that most have there."""

    kind: int
    key: int
    at: int | None


def places(cells: list[Cell], votes: Votes) -> Iterable[Where]:
    """Where these cells of one person are, in their order."""
    if _have_moved(cells, votes):
        return _Moved(cells, votes).places()
    return [_in_place(cell, votes) for cell in cells]


def _have_moved(cells: list[Cell], votes: Votes) -> bool:
    """Whether cells of their own are among shared ones, or a code is not where most have it."""
    shared, homes = votes.shared, votes.homes
    own = is_elsewhere = False
    any_shared = False
    for cell in cells:
        if cell.name_hash in shared:
            any_shared = True
        else:
            own = True
        if cell.index is not None and homes.get(cell.code_hash, cell.index) != cell.index:
            is_elsewhere = True
    return own and (any_shared or is_elsewhere)


def _in_place(cell: Cell, votes: Votes) -> Where:
    if cell.name_hash in votes.shared:
        return Where(NAMED, cell.name_hash, votes.shared[cell.name_hash])
    at = cell.index if cell.index is not None else votes.homes.get(cell.code_hash)
    return _own(cell, at, votes, is_added=False)


def _own(cell: Cell, at: int | None, votes: Votes, *, is_added: bool) -> Where:
    """The place of a cell whose id nobody else has."""
    if at is None or votes.are_few:
        return Where(NAMED, cell.name_hash, cell.index)
    if is_added:
        return Where(ADDED, at, at)
    name = votes.names.get(at)
    return Where(INDEX, at, at) if name is None else Where(NAMED, name, at)


class _Moved:
    """The cells of a person who has inserted or removed some, or moved them.

    The newest cell at an index is of opening 1; those of an earlier opening follow.
    """

    def __init__(self, cells: list[Cell], votes: Votes) -> None:
        self._cells = cells
        self._votes = votes
        self._openings = _openings(cells)
        self._targets = list(self._recognised())

    def places(self) -> Iterator[Where]:
        at = list(self._followed())
        shared = self._votes.shared
        shared_at = {
            place for cell, place in zip(self._cells, at, strict=True) if cell.name_hash in shared
        }
        recognised_at = {
            (place, opening)
            for place, opening, target in zip(at, self._openings, self._targets, strict=True)
            if target is not None
        }
        for cell, place, opening, target in zip(
            self._cells, at, self._openings, self._targets, strict=True
        ):
            if cell.name_hash in shared:
                yield Where(NAMED, cell.name_hash, place)
                continue
            # Added is one that is not recognised, where the person has another one that is: under
            # an id of many or, of the same opening, with their code.
            is_added = target is None and (place in shared_at or (place, opening) in recognised_at)
            yield _own(cell, place, self._votes, is_added=is_added)

    def _recognised(self) -> Iterator[int | None]:
        """The home of each cell: by its id or, unless the person has it twice, by its code."""
        shared, homes = self._votes.shared, self._votes.homes
        pairs = list(zip(self._openings, self._cells, strict=True))
        often = Counter((opening, cell.code_hash) for opening, cell in pairs)
        for opening, cell in pairs:
            home = homes.get(cell.code_hash)
            if cell.name_hash in shared:
                yield shared[cell.name_hash]
            elif cell.index in (None, home) or often[opening, cell.code_hash] == 1:
                yield home
            else:
                yield None

    def _followed(self) -> Iterator[int | None]:
        """The index that most have where each cell is.

        Those that are not recognised have moved as far as the last one above them that is or,
        without one, the first one below.
        """
        shifts = self._shifts()
        for cell, opening, target in zip(self._cells, self._openings, self._targets, strict=True):
            if target is not None or cell.index is None:
                yield target
            else:
                yield max(0, cell.index + shifts[opening].of(cell.index))

    def _shifts(self) -> dict[int, "_Shifts"]:
        shifts: dict[int, _Shifts] = defaultdict(_Shifts)
        for cell, opening, target in sorted(
            zip(self._cells, self._openings, self._targets, strict=True),
            key=lambda each: -1 if each[0].index is None else each[0].index,
        ):
            if cell.index is not None and target is not None:
                shifts[opening].add(cell.index, target - cell.index)
        return shifts


class _Shifts:
    """How far the recognised cells of an opening have moved, added in the order of the indexes."""

    def __init__(self) -> None:
        self._indexes: list[int] = []
        self._shifts: list[int] = []

    def add(self, index: int, shift: int) -> None:
        self._indexes.append(index)
        self._shifts.append(shift)

    def of(self, index: int) -> int:
        """The shift at an index: that of the last one above it, or of the first one below."""
        if not self._indexes:
            return 0
        return self._shifts[max(0, bisect_right(self._indexes, index) - 1)]


def _openings(cells: list[Cell]) -> list[int]:
    """The number of each cell among those at its index, the newest first, from 1."""
    newest = sorted(cells, key=lambda cell: (cell.last_at or _NEVER, cell.id), reverse=True)
    seen: Counter[int | None] = Counter()
    numbers = {}
    for cell in newest:
        seen[cell.index] += 1
        numbers[cell.alias_id, cell.id] = seen[cell.index]
    return [numbers[cell.alias_id, cell.id] for cell in cells]
