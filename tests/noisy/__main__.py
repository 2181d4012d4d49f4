"""`python -m tests.noisy [--seconds S] [--row ROW]… [--list]`: a class beside each attacker.

With `--update docs/security.md` the figures of each row are put into the table there at once, so
that a run that was interrupted goes on with `--row` where it ended.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.noisy.rows import ROWS
from tests.noisy.table import NOBODY, figures, update
from tests.noisy.trial import Result, play, postgres

SECONDS = 30.0
HEADINGS = ("one caller", "p99 POST", "p99 live", "slowest probe", "RSS", "stored", "verdict")
WIDTHS = (72, 9, 9, 13, 7, 12, 8)


def line(cells: Iterable[str]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True))
    return f"| {' | '.join(padded)} |"


def row(what: str, result: Result, over: list[str]) -> str:
    return line(
        (
            what,
            f"{1000 * result.post:.0f} ms",
            f"{1000 * result.live:.0f} ms",
            f"{1000 * result.watched.slowest:.0f} ms",
            f"{result.watched.memory / 1e6:.0f} MB",
            f"{result.stored}/{result.posted}",
            "fails" if over else "holds",
        )
    )


def notes(name: str, result: Result, over: list[str], *, verbose: bool) -> Iterable[str]:
    """What is wrong, and if it is asked for what the attacker was answered."""
    yield from (f"  {name}: {each}" for each in over)
    if verbose:
        yield f"  attacker: {describe(result.outcomes, '{} × {}')}"
        yield f"  slowest: {describe(result.slowest, '{:.2f} s {}')}"


def describe(amounts: dict[str, int] | dict[str, float], template: str) -> str:
    return ", ".join(template.format(amount, what) for what, amount in sorted(amounts.items()))


async def run(
    names: list[str], seconds: float, *, verbose: bool, document: Path | None = None
) -> bool:
    """Whether all rows hold. Puts their figures into the document, too."""
    print(line(HEADINGS), line("-" * width for width in WIDTHS), sep="\n", flush=True)
    with postgres() as (server, directory):
        alone: Result | None = None
        all_hold = True
        for name in ("", *names):
            result = await play(server, directory, name, seconds)
            over = result.verdict(alone)
            alone = alone or result
            all_hold &= not over
            what = ROWS[name].what if name else NOBODY
            if document:
                update(document, what, figures(result, over))
            print(row(what, result, over), flush=True)
            print(*notes(name or "alone", result, over, verbose=verbose), sep="\n", flush=True)
    return all_hold


def main() -> int:
    """1 when a row fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.noisy", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each attack")
    parser.add_argument("--row", action="append", choices=ROWS, metavar="ROW", help="only this one")
    parser.add_argument("--list", action="store_true", help="the rows' names")
    parser.add_argument("--verbose", action="store_true", help="what the attackers were answered")
    parser.add_argument(
        "--update", type=Path, metavar="FILE", help="puts the figures into the table of this file"
    )
    arguments = parser.parse_args()
    if arguments.list:
        print(*(f"{name.ljust(18)} {each.what}" for name, each in ROWS.items()), sep="\n")
        return 0
    names = arguments.row or list(ROWS)
    holds = run(names, arguments.seconds, verbose=arguments.verbose, document=arguments.update)
    return 0 if asyncio.run(holds) else 1


if __name__ == "__main__":
    sys.exit(main())
