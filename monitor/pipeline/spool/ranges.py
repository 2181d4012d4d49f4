"""Ranges of numbers, joined where they touch."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

Range = tuple[int, int]  # from the first to before the second


class Ranges:
    """A set of whole numbers, kept as sorted ranges that don't touch."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._ends: list[int] = []
        self.total = 0

    def __iter__(self) -> Iterator[Range]:
        return zip(self._firsts, self._ends, strict=True)

    def contains(self, first: int, end: int) -> bool | None:
        """Whether it has the numbers from `first` to before `end`; None if it has some of them."""
        following = bisect_right(self._firsts, first)
        if following and first < self._ends[following - 1]:
            return True if end <= self._ends[following - 1] else None
        is_apart = following == len(self._firsts) or end <= self._firsts[following]
        return False if is_apart else None

    def add(self, first: int, end: int) -> None:
        if first >= end:
            return
        low = bisect_left(self._ends, first)
        high = bisect_right(self._firsts, end)
        merged = range(low, high)
        self.total -= sum(self._ends[each] - self._firsts[each] for each in merged)
        if merged:
            first, end = min(first, self._firsts[low]), max(end, self._ends[high - 1])
        self._firsts[low:high], self._ends[low:high] = [first], [end]
        self.total += end - first

    def missing(self, first: int, end: int) -> Iterator[Range]:
        """The ranges from `first` to before `end` that are not in it."""
        for known_first, known_end in self:
            if known_end <= first:
                continue
            if known_first >= end:
                break
            if first < known_first:
                yield first, known_first
            first = known_end
        if first < end:
            yield first, end
