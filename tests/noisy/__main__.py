"""`python -m tests.noisy [--seconds S] [--row ROW]… [--list]`: a class beside each attacker."""

import argparse
import asyncio
import sys
from collections.abc import Iterable

from tests.noisy.rows import ROWS
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


def documented(what: str, result: Result) -> str:
    """The row as docs/security.md has it."""
    times = (result.post, result.live, result.watched.slowest)
    cells = (what, *(f"{1000 * each:.0f} ms" for each in times))
    return f"| {' | '.join(cells)} | {result.watched.memory / 1e6:.0f} MB |"


def notes(name: str, result: Result, over: list[str], *, verbose: bool) -> Iterable[str]:
    """What is wrong, and if it is asked for what the attacker was answered."""
    yield from (f"  {name}: {each}" for each in over)
    if verbose:
        yield f"  attacker: {describe(result.outcomes, '{} × {}')}"
        yield f"  slowest: {describe(result.slowest, '{:.2f} s {}')}"


def describe(amounts: dict[str, int] | dict[str, float], template: str) -> str:
    return ", ".join(template.format(amount, what) for what, amount in sorted(amounts.items()))


async def run(names: list[str], seconds: float, *, verbose: bool) -> bool:
    """Whether all rows hold."""
    print(line(HEADINGS), line("-" * width for width in WIDTHS), sep="\n", flush=True)
    with postgres() as (server, directory):
        alone: Result | None = None
        all_hold = True
        table = []
        for name in ("", *names):
            result = await play(server, directory, name, seconds)
            over = result.verdict(alone)
            alone = alone or result
            all_hold &= not over
            what = ROWS[name].what if name else "nobody"
            table.append(documented(what, result))
            print(row(what, result, over), flush=True)
            print(*notes(name or "alone", result, over, verbose=verbose), sep="\n", flush=True)
    print("For docs/security.md:", *table, sep="\n")
    return all_hold


def main() -> int:
    """1 when a row fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.noisy", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each attack")
    parser.add_argument("--row", action="append", choices=ROWS, metavar="ROW", help="only this one")
    parser.add_argument("--list", action="store_true", help="the rows' names")
    parser.add_argument("--verbose", action="store_true", help="what the attackers were answered")
    arguments = parser.parse_args()
    if arguments.list:
        print(*(f"{name.ljust(18)} {each.what}" for name, each in ROWS.items()), sep="\n")
        return 0
    names = arguments.row or list(ROWS)
    return 0 if asyncio.run(run(names, arguments.seconds, verbose=arguments.verbose)) else 1


if __name__ == "__main__":
    sys.exit(main())
