"""Which Python the virtual environment is made with."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

OLD = "exit 1"
WITHOUT_VENV = 'case "$2" in *version_info*) exit 0;; esac; exit 1'
COMPLETE = 'echo "made by $0: $*"'


def make_venv(directory: Path, **pythons: str) -> "subprocess.CompletedProcess[str]":
    """The result where these are the Pythons on the PATH."""
    for name, script in pythons.items():
        program = directory / name.replace("_", ".")
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    return subprocess.run(
        ["/bin/sh", "scripts/venv.sh", "there"],
        cwd=ROOT,
        env={"PATH": str(directory)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("pythons", [{}, {"python3": OLD}, {"python3": OLD, "python3_12": OLD}])
def test_without_a_new_python_it_says_what_to_install(
    tmp_path: Path, pythons: dict[str, str]
) -> None:
    done = make_venv(tmp_path, **pythons)
    assert done.returncode == 1
    assert "Python 3.11 or later is needed" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr


def test_without_the_venv_module_it_says_what_to_install(tmp_path: Path) -> None:
    done = make_venv(tmp_path, python3=WITHOUT_VENV)
    assert done.returncode == 1
    assert "python3 lacks its venv module" in done.stderr
    assert "apt-get install python3-venv" in done.stderr


def test_the_first_python_that_will_do_is_taken(tmp_path: Path) -> None:
    done = make_venv(tmp_path, python3=OLD, python3_13=WITHOUT_VENV, python3_11=COMPLETE)
    assert done.stdout.endswith(f"made by {tmp_path}{os.sep}python3.11: -m venv there\n")
