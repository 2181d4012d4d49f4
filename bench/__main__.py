"""`python -m bench [PART...]`: measures the named parts, or all that take only minutes."""

import argparse
import sys
from collections.abc import Awaitable, Callable

import uvloop

from bench import (
    cpu,
    drain,
    fanout,
    guarded,
    latency,
    lesson,
    memory,
    nchan,
    outage,
    page,
    question,
    reads,
    single,
    slow,
    throughput,
)
from bench.figures import BenchError, Figure, table

PARTS: dict[str, Callable[[], Awaitable[Figure | list[Figure]]]] = {
    "throughput": throughput.measure,
    "single": single.measure,
    "guarded": guarded.measure,
    "latency": latency.measure,
    "question": question.measure,
    "replicas": latency.measure_pair,
    "fanout": fanout.measure,
    "nchan": nchan.measure,
    "slow": slow.measure,
    "sockets": fanout.measure_size,
    "memory": memory.measure,
    "page": page.measure,
    "drain": drain.measure,
    "outage": outage.measure,
    "lesson": lesson.measure,
    "reads": reads.measure,
    "cpu": cpu.measure,
}
LONG = {"reads", "cpu"}  # only when they are named


async def measure(names: list[str]) -> list[Figure]:
    figures: list[Figure] = []
    for name in names:
        print(f"{name} …", flush=True)
        result = await PARTS[name]()
        measured = result if isinstance(result, list) else [result]
        for note in (note for figure in measured for note in figure.notes):
            print(f"  {note}", flush=True)
        figures += measured
    return figures


def main() -> int:
    """Returns the exit code: 1 if a goal is missed, 2 if a part could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    names = parser.parse_args().parts or [name for name in PARTS if name not in LONG]
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}")
    try:
        figures = uvloop.run(measure(names))
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"\n{table(figures)}")
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
