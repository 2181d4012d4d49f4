"""`python -m tests.chaos [--rounds N] [--outage S] [--jobs N] [FAULT...]`: rounds of each fault."""

import argparse
import sys
import time

from tests.chaos.faults import FAULTS, possible
from tests.chaos.rounds import FaultResult, Game, side_by_side

ROUNDS = 20
OUTAGE = 20.0  # seconds at most
JOBS = 4
HEADINGS = (
    *("fault", "rounds", "acknowledged", "missing", "twice", "no point"),
    *("refused", "failed", "slowest"),
)


def row(name: str, *results: FaultResult) -> tuple[str, ...]:
    rounds = [each for fault in results for each in fault.rounds]
    numbers = (
        len(rounds),
        sum(each.acknowledged for each in rounds),
        sum(each.missing for each in rounds),
        sum(each.twice for each in rounds),
        sum(each.without_point for each in rounds),
        sum(len(each.refused) for each in rounds),
        sum(bool(each.failure) for each in rounds),
    )
    slowest = max((each.recovery for each in rounds), default=0.0)
    return (name, *(f"{number:,}" for number in numbers), f"{slowest:.1f} s")


def line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join([cells[0].ljust(40), *(cell.ljust(12) for cell in cells[1:])]) + " |"


def complaints(result: FaultResult) -> list[str]:
    refused = [f"refused: {each}" for one in result.rounds for each in one.refused]
    failed = [f"failed: {each.failure}" for each in result.rounds if each.failure]
    differing = [f"differs from the rows: {each}" for each in result.differing]
    return refused[:3] + failed[:3] + differing[:3]


def main() -> int:
    """1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("faults", nargs="*", help=", ".join(possible()))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--outage", type=float, default=OUTAGE)
    parser.add_argument("--jobs", type=int, default=JOBS, help="faults at the same time")
    parser.add_argument("--seed", default=str(time.time_ns()))
    arguments = parser.parse_args()
    if unknown := set(arguments.faults) - set(possible()):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    game = Game(arguments.rounds, arguments.outage, arguments.seed)
    names = sorted(arguments.faults or possible(), key=lambda name: not FAULTS[name].slow)
    began = time.monotonic()
    print(f"seed {game.seed}", line(HEADINGS), sep="\n", flush=True)
    all_results = []
    for result in side_by_side([[name] for name in names], game, arguments.jobs):
        all_results.append(result)
        print(line(row(result.fault, result)), *complaints(result), sep="\n", flush=True)
    print(
        f"\nAll of it, after {(time.monotonic() - began) / 60:.0f} minutes:",
        line(HEADINGS),
        line(("-" * 40, *("-" * 12,) * (len(HEADINGS) - 1))),
        *(line(row(each.fault, each)) for each in sorted(all_results, key=lambda each: each.fault)),
        line(row("all", *all_results)),
        f"counters that differ from the rows: {sum(len(each.differing) for each in all_results)}",
        sep="\n",
    )
    return 0 if all(each.kept for each in all_results) else 1


if __name__ == "__main__":
    sys.exit(main())
