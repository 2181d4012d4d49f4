"""The table of docs/security.md: a row for each attack, with what it cost the class."""

from collections.abc import Sequence
from pathlib import Path

from tests.noisy.trial import Result

NOBODY = "nobody"


class NoTable(Exception):
    """The file lacks a row of the table."""


def figures(result: Result, over: Sequence[str]) -> tuple[str, ...]:
    """The cells of a row: two percentiles, the slowest probe, memory, events, the verdict."""
    times = (result.post, result.live, result.watched.slowest)
    return (
        *(f"{1000 * each:.0f} ms" for each in times),
        f"{result.watched.memory / 1e6:.0f} MB",
        f"{result.stored} of {result.posted}",
        "no" if over else "yes",
    )


def row(what: str, cells: Sequence[str]) -> str:
    """A row in Markdown."""
    return f"| {' | '.join((what, *cells))} |"


def update(path: Path, what: str, cells: Sequence[str]) -> None:
    """Puts the figures into the file's row. Raises NoTable if it has none."""
    lines = path.read_text().splitlines(keepends=True)
    start = f"| {what} |"
    positions = [number for number, line in enumerate(lines) if line.startswith(start)]
    if not positions:
        raise NoTable(f"{path} has no row that begins with {start!r}")
    lines[positions[0]] = row(what, cells) + "\n"
    path.write_text("".join(lines))
