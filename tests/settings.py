"""Takes each setting away from the servers of its test, which then has to fail: `make settings`.

Names of settings as arguments select some. Exits with 1 if a setting may do nothing.
"""

import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence

from tests.support.paths import ROOT
from tests.support.replicas import WITHOUT

TABLE = ROOT / "tests" / "settings.toml"
_FAILED = 1  # pytest's exit code where tests ran, and one failed


def table_of_tests() -> dict[str, str]:
    """The tests of the settings, below `tests`, by their names."""
    return tomllib.loads(TABLE.read_text())


def main(names: Sequence[str]) -> int:
    table = table_of_tests()
    wrong = []
    for name in names or table:
        with_it, without_it = _run(table[name], ""), _run(table[name], name)
        is_right = (with_it, without_it) == (0, _FAILED)
        print(
            f"{name:32} {'ok' if is_right else f'exits with {with_it}, {without_it}'}", flush=True
        )
        if not is_right:
            wrong.append(name)
    print(f"{len(names or table) - len(wrong)} settings do something; not seen of: {wrong}")
    return bool(wrong)


def _run(test: str, without: str) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-x", f"tests/{test}"]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, WITHOUT: without}, capture_output=True
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
