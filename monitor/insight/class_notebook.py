"""A class's cells in a notebook, each with its place; reads only what has changed."""

from collections.abc import Iterable, Sequence

import msgspec

from monitor.database.pool import Connection
from monitor.insight.cell_names import CellName, fetch_names
from monitor.insight.class_places import BestRun, Place, named_cell
from monitor.insight.notebook_rows import Cell, fetch_cells, is_same
from monitor.insight.placing import places
from monitor.insight.versions import People, Version
from monitor.insight.votes import Votes
from monitor.pace import Pace

_READ_AT_ONCE = 4  # people


class _Person(msgspec.Struct):
    """A person's cells, by their alias and id, of a version; and what some of them are called."""

    version: Version
    cells: dict[tuple[int, int], Cell] = {}
    names: dict[BestRun, CellName] = {}

    @property
    def is_counted(self) -> bool:
        return self.version.is_student and bool(self.cells)


class ClassNotebook:
    """What people did in a notebook, by place.

    It is always consistent: `update` may be cut off anywhere, and goes on the next time.
    """

    def __init__(self, class_id: int, alias_ids: Sequence[int]) -> None:
        self.places: dict[tuple[int, int], Place] = {}
        self.alias_ids = alias_ids
        self._class_id = class_id
        self._people: dict[int, _Person] = {}
        self._votes = Votes()
        self._misplaced: set[int] = set()
        self._months = ""
        self._cells = 0  # and kinds of errors in them

    @property
    def size(self) -> int:
        """How much there is to keep: cells, kinds of errors in them, and people."""
        return 1 + self._cells + len(self._people)

    async def update(self, connection: Connection, people: People, pace: Pace) -> None:
        """Makes it what it is in the connection's snapshot, which has these people.

        Raises Busy when that takes too long.
        """
        for gone in self._people.keys() - people.versions.keys():
            self._replace(gone, Version(False, None), [])
            del self._people[gone]
        stale = [each for each, version in people.versions.items() if self._is_stale(each, version)]
        for start in range(0, len(stale), _READ_AT_ONCE):
            part = stale[start : start + _READ_AT_ONCE]
            cells = await fetch_cells(connection, part, self.alias_ids, pace)
            for each in part:
                self._replace(each, people.versions[each], cells.get(each, []))
                if pace.is_due:
                    await pace.rest()
        if people.months != self._months:
            for person in self._people.values():
                person.names = {}
            self._months = people.months
        await self._put_in_place(pace)

    def cell(self, student_id: int, alias_id: int | None, cell_id: int | None) -> Cell | None:
        """A person's cell with this alias and id; None if it isn't counted."""
        person = self._people.get(student_id)
        return person.cells.get((alias_id, cell_id)) if person else None  # type: ignore[arg-type]

    async def ids(self, connection: Connection, shown: Iterable[Place]) -> dict[Place, str]:
        """The cell's id at each of these places that has one."""
        named = {place: cell for place in shown if (cell := place.of(named_cell))}
        texts = await _cell_ids(connection, [cell.id for cell in named.values()])
        return {place: texts[cell.id] for place, cell in named.items()}

    async def names(
        self, connection: Connection, best: Iterable[BestRun | None]
    ) -> dict[BestRun | None, CellName]:
        """What the cells of these runs are called. None has no name."""
        wanted = {each for each in best if each}
        missing = [each for each in wanted if each not in self._people[each.student].names]
        if missing:
            class_ids = [self._class_id]
            found = await fetch_names(connection, class_ids, missing)
            for each, name in zip(missing, found, strict=True):
                self._people[each.student].names[each] = name
        names: dict[BestRun | None, CellName] = {None: CellName(None, None)}
        return names | {each: self._people[each.student].names[each] for each in wanted}

    def _is_stale(self, person: int, version: Version) -> bool:
        kept = self._people.get(person)
        return kept is None or version.states is None or kept.version != version

    def _replace(self, person: int, version: Version, cells: list[Cell]) -> None:
        """A person's cells are these now. Those that are the same stay what they were, in place."""
        before = self._people.get(person) or _Person(version)
        now = _Person(version)
        for cell in cells:
            cell.is_student = version.is_student
            key = cell.alias_id, cell.id
            old = before.cells.get(key)
            now.cells[key] = old if old and is_same(old, cell) else cell
        removed = [old for key, old in before.cells.items() if now.cells.get(key) is not old]
        added = [cell for key, cell in now.cells.items() if before.cells.get(key) is not cell]
        for cell in removed:
            self._take_out(cell)
        self._cells += sum(map(_size, added)) - sum(map(_size, removed))
        self._vote(removed, added)
        self._votes.count_student(now.is_counted - before.is_counted)
        self._people[person] = now
        if added or removed:
            self._misplaced.add(person)

    def _vote(self, removed: list[Cell], added: list[Cell]) -> None:
        """Leaves out what changes no vote: most changes are another run of a cell."""
        before, after = ({_ballot(cell): cell for cell in cells} for cells in (removed, added))
        self._votes.remove(cell for ballot, cell in before.items() if ballot not in after)
        self._votes.add(cell for ballot, cell in after.items() if ballot not in before)

    async def _put_in_place(self, pace: Pace) -> None:
        for _ in self._votes.decide():
            if pace.is_due:
                await pace.rest()
        self._misplaced |= self._people.keys() & self._votes.affected
        if self._votes.affects_all:
            self._misplaced |= self._people.keys()
        self._votes.affected.clear()
        self._votes.affects_all = False
        while self._misplaced:
            self._place(self._misplaced.pop())
            if pace.is_due:
                await pace.rest()

    def _place(self, person: int) -> None:
        if person not in self._people:
            return
        cells = list(self._people[person].cells.values())
        for cell, where in zip(cells, places(cells, self._votes), strict=True):
            if (cell.kind, cell.key, cell.at) != where:
                self._take_out(cell)
                cell.kind, cell.key, cell.at = where
                self._put_in(cell)

    def _put_in(self, cell: Cell) -> None:
        key = cell.kind, cell.key
        place = self.places.get(key)
        if place is None:
            place = self.places[key] = Place(*key)
        place.cells.add(cell)
        place.changed()

    def _take_out(self, cell: Cell) -> None:
        place = self.places.get((cell.kind, cell.key))
        if place is None or cell not in place.cells:
            return
        place.cells.remove(cell)
        place.changed()
        if not place.cells:
            del self.places[cell.kind, cell.key]


def _ballot(cell: Cell) -> tuple[int, int, int, int | None, int | None]:
    return cell.alias_id, cell.id, cell.name_hash, cell.code_hash, cell.index


def _size(cell: Cell) -> int:
    return 1 + len(cell.kinds)


async def _cell_ids(connection: Connection, ids: list[int]) -> dict[int, str]:
    if not ids:
        return {}
    return dict(await connection.fetch(_SELECT_CELL_IDS, ids))


_SELECT_CELL_IDS = """
    SELECT c.* FROM unnest($1::bigint[]) AS wanted (id) CROSS JOIN LATERAL (
        SELECT id, cell_id FROM cells WHERE id = wanted.id OFFSET 0
    ) AS c
"""
