"""`python -m tests.chaos [--rounds N] [--outage S] [--jobs N] [--results FILE] [FAULT...]`.

Plays rounds of each fault. A run that is interrupted is taken up again by the next one, which reads
the rounds of the same code from the file of results and plays those that are lacking.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.faults import FAULTS, possible
from tests.chaos.reckoning import Reckoning
from tests.chaos.results import Results
from tests.chaos.rounds import Game, Hand, side_by_side
from tests.support.paths import CACHE

ROUNDS = 20
OUTAGE = 20.0  # seconds at most
JOBS = 4
RESULTS = CACHE / "chaos" / "results.jsonl"
HEADINGS = (
    *("fault", "rounds", "acknowledged", "missing", "twice", "misplaced", "no point"),
    *("counters off", "refused", "no verdict", "slowest"),
)


def row(name: str, rounds: Sequence[Reckoning]) -> tuple[str, ...]:
    numbers = (
        len(rounds),
        sum(each.acknowledged for each in rounds),
        sum(each.missing for each in rounds),
        sum(each.twice for each in rounds),
        sum(len(each.misplaced) for each in rounds),
        sum(each.without_point for each in rounds),
        sum(len(each.counters_off) for each in rounds),
        sum(len(each.refused) for each in rounds),
        sum(bool(each.failure) for each in rounds),
    )
    slowest = max((each.recovery for each in rounds), default=0.0)
    return (name, *(f"{number:,}" for number in numbers), f"{slowest:.1f} s")


def line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join([cells[0].ljust(40), *(cell.ljust(12) for cell in cells[1:])]) + " |"


def complaints(rounds: Sequence[Reckoning]) -> list[str]:
    refused = [f"refused: {each}" for one in rounds for each in one.refused]
    misplaced = [f"misplaced: {each}" for one in rounds for each in one.misplaced]
    differing = [f"differs from the rows: {each}" for one in rounds for each in one.counters_off]
    failed = [f"no verdict: {each.failure}" for each in rounds if each.failure]
    return refused[:3] + misplaced[:3] + differing[:3] + failed[:3]


def table(rounds: dict[str, list[Reckoning]]) -> str:
    return "\n".join(
        (
            line(HEADINGS),
            line(("-" * 40, *("-" * 12,) * (len(HEADINGS) - 1))),
            *(line(row(name, rounds[name])) for name in sorted(rounds)),
            line(row("all", [each for fault in rounds.values() for each in fault])),
        )
    )


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("faults", nargs="*", help=", ".join(possible()))
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each fault, in all")
    parser.add_argument("--outage", type=float, default=OUTAGE, help="seconds at most")
    parser.add_argument("--jobs", type=int, default=JOBS, help="faults at the same time")
    parser.add_argument("--seed", default=str(time.time_ns()))
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file of results")
    parser.add_argument("--fresh", action="store_true", help="forget the rounds of that file")
    arguments = parser.parse_args()
    if unknown := set(arguments.faults) - set(possible()):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    return arguments


def main() -> int:
    """1 when a promise was broken."""
    arguments = parsed()
    if arguments.fresh:
        arguments.results.unlink(missing_ok=True)
    results = Results(arguments.results)
    earlier = results.rounds()
    names = sorted(arguments.faults or possible(), key=lambda name: not FAULTS[name].slow)
    lacking = {name: arguments.rounds - len(earlier.get(name, [])) for name in names}
    hands = [Hand([name], rounds) for name, rounds in lacking.items() if rounds > 0]
    print(f"seed {arguments.seed}, results in {results.path}")
    print(f"rounds there: {sum(map(len, earlier.values()))}, of other code: {results.others()}")
    print(line(HEADINGS), flush=True)
    game = Game(arguments.outage, arguments.seed, results)
    finished: dict[str, list[Reckoning]] = {}
    for name, reckoning in side_by_side(hands, game, arguments.jobs):
        finished.setdefault(name, []).append(reckoning)
        if len(finished[name]) == lacking[name] or not reckoning.kept:
            print(line(row(name, finished[name])), *complaints([reckoning]), sep="\n", flush=True)
    everything = results.rounds()
    print("\nAll rounds in the file of results:", table(everything), sep="\n")
    kept = all(each.kept for rounds in everything.values() for each in rounds)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
