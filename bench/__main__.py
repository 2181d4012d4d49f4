"""`python -m bench [PART...]`: measures all parts, or those that are named."""

import argparse
import sys
from collections.abc import Awaitable, Callable

import uvloop

from bench import drain, latency, memory, outage, single, throughput
from bench.figures import BenchError, Figure, table

PARTS: dict[str, Callable[[], Awaitable[Figure]]] = {
    "throughput": throughput.measure,
    "single": single.measure,
    "latency": latency.measure,
    "memory": memory.measure,
    "drain": drain.measure,
    "outage": outage.measure,
}


async def measure(names: list[str]) -> list[Figure]:
    figures = []
    for name in names:
        print(f"{name} …", flush=True)
        figure = await PARTS[name]()
        for note in figure.notes:
            print(f"  {note}", flush=True)
        figures.append(figure)
    return figures


def main() -> int:
    """1 when a goal is missed, 2 when something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    names = parser.parse_args().parts or list(PARTS)
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
