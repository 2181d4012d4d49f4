"""What changed between two texts: always right, short for usual texts, quick for hostile ones."""

import time

from hypothesis import given
from hypothesis import strategies as st

from monitor.insight.line_changes import LineChange, changed_span, line_changes

LINES = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=30)


def changed(old: str, new: str) -> str:
    signs = {"same": " ", "added": "+", "removed": "-"}
    before, after = old.split(), new.split()
    return " ".join(
        signs[each.change] + (after[each.new] if each.new is not None else before[each.old or 0])
        for each in line_changes(before, after)
    )


def check(old: list[str], new: list[str], changes: list[LineChange]) -> None:
    assert [old[each.old] for each in changes if each.old is not None] == old
    assert [new[each.new] for each in changes if each.new is not None] == new
    for each in changes:
        assert (each.old is None, each.new is None) == {
            "same": (False, False),
            "added": (True, False),
            "removed": (False, True),
        }[each.change]
        if each.old is not None and each.new is not None:
            assert old[each.old] == new[each.new]


@given(LINES, LINES)
def test_both_texts_can_be_read_from_the_changes(old: list[str], new: list[str]) -> None:
    check(old, new, line_changes(old, new))


@given(LINES, LINES)
def test_no_changes_are_fewer(old: list[str], new: list[str]) -> None:
    lengths = [[0] * (len(new) + 1)]  # of the longest common subsequences, the quadratic way
    for line in old:
        row = [0]
        for place, other in enumerate(new):
            longer = lengths[-1][place] + 1 if line == other else 0
            row.append(max(longer, row[-1], lengths[-1][place + 1]))
        lengths.append(row)
    common = lengths[-1][-1]
    changes = line_changes(old, new)
    assert len(changes) == len(old) + len(new) - common


def test_a_replacement_shows_what_was_removed_first() -> None:
    assert changed("a b c", "a x y c") == " a -b +x +y  c"
    assert changed("a b c d", "a c d e") == " a -b  c  d +e"
    assert changed("", "a") == "+a"
    assert changed("a b", "c d") == "-a -b +c +d"


def test_texts_with_nothing_in_common_take_no_long() -> None:
    old = [f"{n % 7}" for n in range(400)]
    new = [f"{n % 5 + 3}" for n in range(400)]
    start = time.process_time()
    for _ in range(30):
        changes = line_changes(old, new)
    assert time.process_time() - start < 3
    check(old, new, changes)


def test_changed_words() -> None:
    def parts(old: str, new: str) -> tuple[str, str] | None:
        spans = changed_span(old, new)
        return spans and (old[spans[0]], new[spans[1]])

    assert parts("total = sum(values)", "total = sum(numbers)") == ("values", "numbers")
    assert parts("print(x)", "print(x, y)") == ("", ", y")
    assert parts("return a + b", "return a - b") == ("+", "-")
    assert parts("x = 1", "import math") is None
