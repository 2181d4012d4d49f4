"""What a class agrees on about the cells of a notebook: which ids are shared, and where a cell is.

Each cell of each person is a vote: for the index of its code and, where others have its id, for
that of the id. Votes are added and taken away as people's cells change, and only what they were
about is decided anew.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from monitor.insight.notebook_rows import Cell

_Voters = list[tuple[int, int | None]]  # a person's id and the index, for each of their cells

_FEW = 3  # students, below which nothing is placed by its index
_LEAST = 3  # votes of two people, from which a code has a home
_NOT_SHARED = -1  # in place of a home


class Votes:
    """The votes of all people at a notebook, and what they decide.

    `shared` has the ids (as numbers) that two people used, with their home: the index that most
    have, or None. `homes` has the index of each code that most who have it have it at or, if
    each has it once, more than at another. `names` has the shared id at an index. `affected` are
    the people whose cells may be elsewhere since it was emptied; `affects_all` says that all may.
    """

    def __init__(self) -> None:
        self.shared: dict[int, int | None] = {}
        self.homes: dict[int | None, int] = {}
        self.names: dict[int | None, int] = {}
        self.affected: set[int] = set()
        self.affects_all = False
        self._students = 0
        self._by_name: dict[int, _Voters] = {}
        self._by_code: dict[int, _Voters] = {}
        self._at_home: dict[int | None, dict[int, int]] = {}  # votes of the shared ids, by home
        self._undecided_names: set[int] = set()
        self._undecided_codes: set[int] = set()

    @property
    def are_few(self) -> bool:
        """Whether too few students use the notebook to place cells by their index."""
        return self._students < _FEW

    def count_student(self, change: int) -> None:
        """A student has cells now (1), or none any more (-1)."""
        were_few = self.are_few
        self._students += change
        self.affects_all |= were_few != self.are_few

    def add(self, cells: Iterable[Cell]) -> None:
        """Their places are to be decided by `decide`."""
        for cell in cells:
            vote = (cell.student_id, cell.index)
            voters = self._by_name.setdefault(cell.name_hash, [])
            voters.append(vote)
            if len(voters) > 1:
                self._undecided_names.add(cell.name_hash)
            if cell.code_hash is not None:
                voters = self._by_code.setdefault(cell.code_hash, [])
                voters.append(vote)
                if len(voters) >= _LEAST:
                    self._undecided_codes.add(cell.code_hash)

    def remove(self, cells: Iterable[Cell]) -> None:
        """Takes away votes that were added."""
        for cell in cells:
            vote = (cell.student_id, cell.index)
            _take(self._by_name, cell.name_hash, vote)
            if cell.name_hash in self.shared:
                self._undecided_names.add(cell.name_hash)
            if cell.code_hash is not None:
                voters = _take(self._by_code, cell.code_hash, vote)
                if cell.code_hash in self.homes or len(voters) >= _LEAST:
                    self._undecided_codes.add(cell.code_hash)

    def decide(self) -> Iterator[None]:
        """Decides what votes have changed about, one thing in each step."""
        while self._undecided_names:
            self._decide_name(self._undecided_names.pop())
            yield
        while self._undecided_codes:
            self._decide_code(self._undecided_codes.pop())
            yield

    def _decide_name(self, name: int) -> None:
        voters = self._by_name.get(name, [])
        before = self.shared.get(name, _NOT_SHARED)
        now: int | None = _NOT_SHARED
        votes = 0
        if _are_two(voters):
            now, votes = _first_home(voters)
            self.shared[name] = now
        else:
            self.shared.pop(name, None)
        self._at_home.get(before, {}).pop(name, None)
        if votes:
            self._at_home.setdefault(now, {})[name] = votes
        for home in {before, now} & self._at_home.keys():
            self._name_home(home)
        if now != before:
            self.affected.update(person for person, _ in voters)

    def _name_home(self, home: int | None) -> None:
        """Of the shared ids at a home, the one of most votes and, of as many, the least number."""
        there = self._at_home[home]
        best = min(there, key=lambda name: (-there[name], name), default=None)
        if best != self.names.get(home):
            self.affects_all = True
        if best is None:
            del self._at_home[home]
            self.names.pop(home, None)
        else:
            self.names[home] = best

    def _decide_code(self, code: int) -> None:
        voters = self._by_code.get(code, [])
        before, now = self.homes.get(code), _last_home(voters)
        if now == before:
            return
        if now is None:
            del self.homes[code]
        else:
            self.homes[code] = now
        self.affected.update(person for person, _ in voters)


def _take(votes: dict[int, _Voters], subject: int, vote: tuple[int, int | None]) -> _Voters:
    voters = votes[subject]
    voters.remove(vote)
    if not voters:
        del votes[subject]
    return voters


def _are_two(voters: _Voters) -> bool:
    return any(person != voters[0][0] for person, _ in voters)


def _first_home(voters: _Voters) -> tuple[int | None, int]:
    """The index of most votes and, of as many, the least; and how many these are."""
    counts = Counter(index for _, index in voters if index is not None)
    if not counts:
        return None, 0
    votes, home = max((votes, -index) for index, votes in counts.items())
    return -home, votes


def _last_home(voters: _Voters) -> int | None:
    """Where a code is at home, if it is.

    Of as many votes the greatest index: where two versions of a notebook are in use by as many, all
    homes are those of the one in which more stands above.
    """
    placed = [vote for vote in voters if vote[1] is not None]
    places = set(placed)
    people = Counter(index for _, index in places)
    counts = Counter(index for _, index in placed)
    votes, home = max(
        ((n, index) for index, n in counts.items() if n >= _LEAST and people[index] > 1),
        default=(0, None),
    )
    has_each_once = len(places) == len({person for person, _ in places})
    return home if 2 * votes > len(placed) or has_each_once else None
