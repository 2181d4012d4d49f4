"""The command line: reads the arguments and settings, runs a command, explains its errors."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from monitor import __version__, commands, logs, serving
from monitor.database.embedded.programs import EmbeddedPostgresError
from monitor.errors import MonitorError
from monitor.settings import Settings, SettingsError, from_environment

_DESCRIPTION = (
    "The backend of a Jupyter classroom. Reads its settings from the environment; starts an"
    " embedded PostgreSQL unless POSTGRES_SERVER names another."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command that `arguments` (default: the process's) name; `serve` if none.

    Returns the exit code: 0 on success, 1 on failure, 2 on a wrong setting. Raises SystemExit for
    wrong arguments, as argparse does.
    """
    parsed = parser().parse_args(arguments)
    try:
        settings = from_environment(os.environ)
        logs.configure(settings.log_level)
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
    command.set_defaults(run=_serve)
    subparsers = command.add_subparsers(metavar="COMMAND")
    serve = subparsers.add_parser("serve", help="run the server (the default)")
    serve.set_defaults(run=_serve)
    commands.declare(subparsers)
    return command


def _program() -> str:
    name = Path(sys.argv[0]).name
    return "python -m monitor" if name == "__main__.py" else name


def _serve(_: argparse.Namespace, settings: Settings) -> int:
    return 0 if serving.serve(settings) else 1
