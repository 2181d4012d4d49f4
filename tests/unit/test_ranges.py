"""Ranges of numbers, against a set of numbers."""

import random

import pytest

from monitor.pipeline.spool.ranges import Ranges


@pytest.mark.parametrize("seed", range(50))
def test_ranges_are_a_set_of_numbers(seed: int) -> None:
    chance = random.Random(seed)
    ranges, numbers = Ranges(), set[int]()
    for _ in range(30):
        first = chance.randrange(60)
        end = first + chance.randrange(8)
        ranges.add(first, end)
        numbers |= set(range(first, end))
        assert ranges.total == len(numbers)
        assert [each for part in ranges for each in range(*part)] == sorted(numbers)
        assert all(
            before[1] < after[0] for before, after in zip(ranges, [*ranges][1:], strict=False)
        )
        low = chance.randrange(60)
        wanted = set(range(low, low + 1 + chance.randrange(10)))
        high = max(wanted) + 1
        missing = [each for part in ranges.missing(low, high) for each in range(*part)]
        assert missing == sorted(wanted - numbers)
        shared = len(wanted & numbers)
        some = None if shared else False
        assert ranges.contains(low, high) is (True if shared == len(wanted) else some)
