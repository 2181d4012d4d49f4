"""The results of the parts of the benchmark, and how they are printed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

HEADINGS = ("what", "value", "of", "to", "goal", "")


class BenchError(Exception):
    """A part could not be measured; the message says why."""


@dataclass(frozen=True)
class Figure:
    """One result; `of` is its numerator and `to` its denominator, where it is a ratio."""

    what: str
    value: str
    of: str
    to: str
    goal: str
    met: bool
    notes: Sequence[str] = field(default=())

    def cells(self) -> tuple[str, ...]:
        return (
            self.what,
            self.value,
            self.of,
            self.to,
            self.goal,
            "ok" if self.met else "short",
        )


def ratio(what: str, of: tuple[float, str], to: tuple[float, str], goal: float) -> Figure:
    """A figure that is one rate by another of the same run."""
    value = of[0] / to[0]
    return Figure(
        what,
        f"{value:.2f}",
        f"{of[0]:,.0f} {of[1]}",
        f"{to[0]:,.0f} {to[1]}",
        f"≥ {goal:.2f}",
        value >= goal,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that `share` of them don't exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def table(figures: Sequence[Figure]) -> str:
    """The figures as a table in Markdown, with aligned columns."""
    rows = [HEADINGS, *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [_line(row, widths) for row in rows]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return (
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
    )
