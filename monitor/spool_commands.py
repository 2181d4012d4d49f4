"""The commands for a spool: check its files, export what is in them, salvage what is damaged."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monitor.errors import CommandError
from monitor.pipeline.spool.inspection import FileReport, as_request, check, payloads, salvage
from monitor.settings import Settings


def declare(subparsers: Any) -> None:
    """Adds the commands, as `monitor.commands.declare` does."""
    spool = subparsers.add_parser("spool", help="check, export and salvage the spool of DATA_DIR")
    actions = spool.add_subparsers(dest="action", required=True, metavar="ACTION")
    command = actions.add_parser(
        "check", help="read all of it; may run beside a server; exits with 1 if any is damaged"
    )
    command.set_defaults(run=_check)
    command = actions.add_parser(
        "export",
        help="print what waits to be stored, a request to a line; may run beside a server",
        description="Prints each spooled request on a line, as a body for POST /events.",
    )
    command.set_defaults(run=_export)
    command = actions.add_parser(
        "salvage",
        help="read damaged files once more, while no server runs",
        description=(
            "Spools what can be read of the files that a server has kept as damaged, and moves them"
            " out of its way; or of FILEs, such as those of another DATA_DIR, which stay. What was"
            " stored before is recognised."
        ),
    )
    command.add_argument("files", nargs="*", type=Path, metavar="FILE")
    command.set_defaults(run=_salvage)


def _check(_: argparse.Namespace, settings: Settings) -> int:
    with _explained():
        reports = check(settings.data_dir)
    for report in reports:
        print(_line(report))
    waiting = sum(report.items for report in reports)
    lost = sum(report.lost for report in reports)
    print(f"{waiting} items wait to be stored; {lost} can't be read")
    return 1 if any(report.lost or report.damaged for report in reports) else 0


def _line(report: FileReport) -> str:
    counts = f"{report.requests} requests with {report.items} items"
    line = f"{report.path}: {'kept as damaged' if report.is_kept else counts}"
    if report.lost or report.damaged:
        line += f"; {report.lost} items are lost in {report.damaged} damaged bytes"
    return line


def _export(_: argparse.Namespace, settings: Settings) -> int:
    lost = 0
    with _explained():
        for payload, unreadable in payloads(settings.data_dir):
            lost += unreadable
            if (line := as_request(payload)) != "[]":
                print(line)
    if lost:
        print(f"{lost} items can't be read", file=sys.stderr)
    return 1 if lost else 0


def _salvage(arguments: argparse.Namespace, settings: Settings) -> int:
    lost = 0
    with _explained():
        for done in salvage(settings.data_dir, arguments.files):
            print(f"{done.path}: {done.items} more items are spooled, {done.lost} can't be read")
            lost += done.lost
    print("Start the server: it stores what is spooled")
    return 1 if lost else 0


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommandError(
            f"The spool can't be read or written: {error}. Check DATA_DIR and its disk, and run the"
            " command as the server's user"
        ) from error
