"""Counts durations by buckets: a histogram that costs a fraction of a microsecond to add to."""

from bisect import bisect_left
from itertools import accumulate

# Upper bounds in seconds, from a commit on a fast disk to a client that gives up.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class Durations:
    """How many durations were at most each of BOUNDS, and their `total` in seconds."""

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Counts one."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[int]:
        """How many are at most each of BOUNDS; the last number is that of all."""
        return list(accumulate(self._counts))
