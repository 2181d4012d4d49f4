"""The command line: reads the arguments and settings, runs a command, explains its errors."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from monitor import __version__, classroom, commands, logs, serving, tracing
from monitor.database.embedded.programs import EmbeddedPostgresError
from monitor.database.embedded.signals import ended_in_order
from monitor.errors import MonitorError
from monitor.settings import Settings, SettingsError, from_environment

_DESCRIPTION = (
    "The backend of a Jupyter classroom. Reads its settings from the environment; starts an"
    " embedded PostgreSQL unless DATABASE_URL names another."
)

_MAX_NAME = 512


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command that `arguments` (default: the process's) name; `serve` if none.

    Returns the exit code: 0 on success, 1 on failure, 2 on a wrong setting. Raises SystemExit for
    wrong arguments, as argparse does.
    """
    parsed = parser().parse_args(arguments)
    try:
        settings = from_environment(_environment(parsed))
        logs.configure(
            settings.log_level,
            settings.place,
            __version__,
            service=os.environ.get("OTEL_SERVICE_NAME", "").strip() or tracing.SERVICE,
            trace_fields=tracing.trace_fields,
        )
        with ended_in_order():
            code: int = parsed.run(parsed, settings)
    except SettingsError as error:
        print(f"Setting {error}", file=sys.stderr)
        return 2
    except (EmbeddedPostgresError, MonitorError) as error:
        print(error, file=sys.stderr)
        return 1
    return code


def parser() -> argparse.ArgumentParser:
    """The commands and their arguments; each sets `run` to its function."""
    command = argparse.ArgumentParser(prog=_program(), description=_DESCRIPTION)
    command.add_argument("--version", action="version", version=f"Cell Monitor {__version__}")
    command.set_defaults(run=_serve, class_name=None)
    subparsers = command.add_subparsers(metavar="COMMAND")
    serve = subparsers.add_parser("serve", help="run the server (the default)")
    serve.set_defaults(run=_serve)
    serve.add_argument(
        "--class",
        dest="class_name",
        type=_class_name,
        metavar="NAME",
        help="let a class in over the network: makes it, and links for its teacher and students",
    )
    commands.declare(subparsers)
    return command


def _program() -> str:
    name = Path(sys.argv[0]).name
    return "python -m monitor" if name == "__main__.py" else name


def _environment(arguments: argparse.Namespace) -> Mapping[str, str]:
    if arguments.class_name is not None:
        return classroom.for_classroom(os.environ)
    return classroom.with_kept_secret(os.environ)


def _class_name(text: str) -> str:
    if not 0 < len(text.strip()) <= _MAX_NAME:
        raise argparse.ArgumentTypeError(f"give the class a name of 1 to {_MAX_NAME} characters")
    return text.strip()


def _serve(arguments: argparse.Namespace, settings: Settings) -> int:
    return 0 if serving.serve(settings, arguments.class_name) else 1
