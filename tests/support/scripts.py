"""Shell scripts in place of programs."""

import os
from pathlib import Path

import pytest


def add_to_path(monkeypatch: pytest.MonkeyPatch, directory: Path, **scripts: str) -> None:
    """Put scripts into the directory, which comes first on the PATH; `_` in a name means `-`."""
    for name, script in scripts.items():
        program = directory / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
