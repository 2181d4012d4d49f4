"""Which messages of the history each channel carries, so that a replay reads no others."""

import time
from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator

from monitor.live.channels import ALL
from monitor.live.history import History, MessageBatch

_SEGMENT = 1_000  # messages of a segment, so that what was dropped is forgotten in large steps
_PLACE_BITS = 20  # of a message's place in its batch


class Segment:
    """Some batches of the history that follow each other, from the position `first` on."""

    __slots__ = ("_all", "_ends", "_places", "count", "end", "first")

    def __init__(self, first: int) -> None:
        self.first = self.end = first
        self.count = 0  # messages
        self._all: list[int] = []  # all messages, each as its batch's position and its place there
        self._places: defaultdict[str, list[int]] = defaultdict(list)  # the same, by channel
        self._ends: dict[str, tuple[list[int], list[int]]] = {}  # positions, last numbers

    def add(self, batch: MessageBatch) -> None:
        """Adds the batch that follows in the history."""
        for place, each in enumerate(batch.deliveries, self.end << _PLACE_BITS):
            self._all.append(place)
            for name in each.channels:
                self._places[name].append(place)
        positions, lasts = self._ends.setdefault(batch.replica_id, ([], []))
        positions.append(self.end)
        lasts.append(batch.last)
        self.count += batch.count
        self.end += 1

    def start(self, offsets: dict[str, int]) -> int:
        """The position of the first batch with messages after these numbers, or `end`."""
        first = self.end
        for replica_id, (positions, lasts) in self._ends.items():
            behind = bisect_right(lasts, offsets.get(replica_id, 0))
            if behind < len(positions):
                first = min(first, positions[behind])
        return first

    def find(self, channels: Iterable[str], start: int) -> Iterator[tuple[int, int]]:
        """The messages on these channels from a position on, in order.

        Each is its batch's position and its place there.
        """
        lists = [self._all] if ALL in channels else [self._places.get(each) for each in channels]
        first = start << _PLACE_BITS
        places = {place for each in lists if each for place in each[bisect_left(each, first) :]}
        for place in sorted(places):
            yield place >> _PLACE_BITS, place & (1 << _PLACE_BITS) - 1

    def advance(self, offsets: dict[str, int], position: int) -> None:
        """Raises the numbers to those of the batches before the position."""
        for replica_id, (positions, lasts) in self._ends.items():
            if before := bisect_left(positions, position):
                offsets[replica_id] = max(offsets.get(replica_id, 0), lasts[before - 1])


class ChannelIndex:
    """The segments of a history, indexed when they are wanted: a message costs nothing before."""

    def __init__(self, history: History) -> None:
        self.segments: deque[Segment] = deque()
        self._history = history
        self._position = 0  # of the first batch that is not indexed

    def extend(self, deadline: float) -> bool:
        """Indexes new batches until the deadline (`time.monotonic`); whether it knows them all.

        What the history has dropped is forgotten here as well.
        """
        history, segments = self._history, self.segments
        while segments and segments[0].end <= history.first:
            segments.popleft()
        self._position = max(self._position, history.first)
        while self._position < history.position:
            if time.monotonic() > deadline:
                return False
            self._add(history.batches[self._position - history.first])
        return True

    def _add(self, batch: MessageBatch) -> None:
        last = self.segments[-1] if self.segments else None
        if last is None or last.count >= _SEGMENT or last.end != self._position:
            last = Segment(self._position)
            self.segments.append(last)
        last.add(batch)
        self._position += 1
