"""`python -m tests.chaos [--rounds N] [--outage SECONDS] [FAULT...]`: rounds of each fault."""

import argparse
import asyncio
import random
import sys
import time

from tests.chaos.faults import possible
from tests.chaos.reckoning import Reckoning, totals_differ
from tests.chaos.rounds import play
from tests.chaos.site import site

ROUNDS = 20
OUTAGE = 20.0  # seconds at most
HEADINGS = ("fault", "rounds", "acknowledged", "missing", "twice", "no point", "refused", "slowest")


def row(name: str, rounds: list[Reckoning]) -> tuple[str, ...]:
    numbers = (
        len(rounds),
        sum(each.acknowledged for each in rounds),
        sum(each.missing for each in rounds),
        sum(each.twice for each in rounds),
        sum(each.without_point for each in rounds),
        sum(len(each.refused) for each in rounds),
    )
    slowest = max((each.recovery for each in rounds), default=0.0)
    return (name, *(f"{number:,}" for number in numbers), f"{slowest:.1f} s")


def line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.ljust(12) for cell in (cells[0].ljust(40), *cells[1:])) + " |"


async def run(names: list[str], rounds: int, outage: float) -> bool:
    """Whether the promise was kept in all rounds."""
    all_rounds: list[Reckoning] = []
    print(line(HEADINGS), line(("-" * 40, *("-" * 12,) * 7)), sep="\n", flush=True)
    async with site() as here:
        for name in names:
            found = [await play(here, name, outage) for _ in range(rounds)]
            print(line(row(name, found)), flush=True)
            for refusal in [refusal for each in found for refusal in each.refused][:3]:
                print(f"  refused: {refusal}")
            all_rounds += found
        differing = await totals_differ(here)
    print(line(row("all", all_rounds)))
    print(f"counters that differ from the rows: {len(differing)}", *differing, sep="\n")
    return all(each.kept for each in all_rounds) and not differing


def main() -> int:
    """1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("faults", nargs="*", help=", ".join(possible()))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--outage", type=float, default=OUTAGE)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    arguments = parser.parse_args()
    if unknown := set(arguments.faults) - set(possible()):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    print(f"seed {arguments.seed}")
    random.seed(arguments.seed)
    names = arguments.faults or possible()
    return 0 if asyncio.run(run(names, arguments.rounds, arguments.outage)) else 1


if __name__ == "__main__":
    sys.exit(main())
