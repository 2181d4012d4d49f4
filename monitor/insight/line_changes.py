"""What changed between two texts, line by line, in bounded time."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

Change = Literal["same", "added", "removed"]

_MAX_EDITS = 60  # lines added and removed; what needs more is one replacement


class LineChange(NamedTuple):
    """A line of either text: `old` and `new` are its places there, None where it is missing."""

    change: Change
    old: int | None
    new: int | None


def line_changes(old: Sequence[str], new: Sequence[str]) -> list[LineChange]:
    """The lines of both texts in order; of a replacement what was removed comes first.

    It is a shortest one, by Myers, "An O(ND) Difference Algorithm and Its Variations" (1986), if it
    has up to _MAX_EDITS edits between the first and the last line that differ. Time and memory are
    linear in the number of lines.
    """
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    old_middle, new_middle = old[start : len(old) - end], new[start : len(new) - end]
    changes = [LineChange("same", place, place) for place in range(start)]
    for change, old_place, new_place in _middle(old_middle, new_middle):
        changes.append(
            LineChange(
                change,
                None if old_place is None else start + old_place,
                None if new_place is None else start + new_place,
            )
        )
    first_old, first_new = len(old) - end, len(new) - end
    changes += [LineChange("same", first_old + n, first_new + n) for n in range(end)]
    return _removed_first(changes)


def _common(old: Sequence[str], new: Sequence[str]) -> int:
    """How many lines both begin with."""
    count = 0
    for one, other in zip(old, new, strict=False):
        if one != other:
            break
        count += 1
    return count


def _middle(old: Sequence[str], new: Sequence[str]) -> list[LineChange]:
    if old and new:
        rounds = _furthest(old, new)
        if rounds is not None:
            return list(_walk_back(rounds, len(old), len(new)))[::-1]
    removed = [LineChange("removed", place, None) for place in range(len(old))]
    return removed + [LineChange("added", None, place) for place in range(len(new))]


def _furthest(old: Sequence[str], new: Sequence[str]) -> list[dict[int, int]] | None:
    """How far in `old` one gets on each diagonal (old - new) with 0, 1, 2 … edits.

    None if the end can't be reached with _MAX_EDITS.
    """
    reached = {1: 0}
    rounds = []
    for edits in range(_MAX_EDITS + 1):
        rounds.append(dict(reached))
        for diagonal in range(-edits, edits + 1, 2):
            place = _step(reached, diagonal, edits)
            while (
                place < len(old)
                and 0 <= place - diagonal < len(new)
                and old[place] == new[place - diagonal]
            ):
                place += 1
            reached[diagonal] = place
            if place >= len(old) and place - diagonal >= len(new):
                return rounds
    return None


def _step(reached: dict[int, int], diagonal: int, edits: int) -> int:
    """The place in `old` after the best edit that leads to this diagonal."""
    if diagonal == -edits or (diagonal != edits and reached[diagonal - 1] < reached[diagonal + 1]):
        return reached[diagonal + 1]  # a line of `new` was added
    return reached[diagonal - 1] + 1


def _walk_back(rounds: list[dict[int, int]], old: int, new: int) -> Iterator[LineChange]:
    for edits in range(len(rounds) - 1, -1, -1):
        reached, diagonal = rounds[edits], old - new
        is_added = edits > 0 and _step(reached, diagonal, edits) == reached.get(diagonal + 1)
        previous = diagonal + 1 if is_added else diagonal - 1
        before = reached[previous] if edits else 0
        landing = before if is_added else before + 1  # in `old`, before the lines that are the same
        while old > (landing if edits else 0):
            old, new = old - 1, new - 1
            yield LineChange("same", old, new)
        if is_added:
            new -= 1
            yield LineChange("added", None, new)
        elif edits:
            old -= 1
            yield LineChange("removed", old, None)


def _removed_first(changes: list[LineChange]) -> list[LineChange]:
    """The same, where lines added before others that were removed come after them."""
    ordered: list[LineChange] = []
    added: list[LineChange] = []
    for each in changes:
        if each.change == "added":
            added.append(each)
            continue
        if each.change == "same":
            ordered += added
            added = []
        ordered.append(each)
    return ordered + added


def changed_span(old: str, new: str) -> tuple[slice, slice] | None:
    """The words of two lines that differ, as a part of each; None if they have little in common.

    The parts end where words do.
    """
    start = _common_words(old, new)
    end = _common_words(old[start:][::-1], new[start:][::-1])
    if 2 * (start + end) < min(len(old), len(new)):
        return None
    return slice(start, len(old) - end), slice(start, len(new) - end)


def _common_words(old: str, new: str) -> int:
    """How many characters both begin with, without a word that goes on differently in one."""
    count = _common(old, new)
    while count and (_is_inside_word(old, count) or _is_inside_word(new, count)):
        count -= 1
    return count


def _is_inside_word(text: str, place: int) -> bool:
    return place < len(text) and text[place - 1].isalnum() and text[place].isalnum()
