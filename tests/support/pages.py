"""The commands of a page of the documentation, run as they stand there."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.paths import ROOT


class Page:
    """A page of `docs/`, whose places (directories, hosts) are replaced by the test's own."""

    def __init__(self, name: str, directory: Path, places: Mapping[str, str]) -> None:
        self._text = (ROOT / "docs" / name).read_text()
        self._places = places
        programs = directory / "programs"
        programs.mkdir()
        command = programs / "cell-monitor"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT / "run.py"}" "$@"\n')
        command.chmod(0o755)
        kept = {
            name: os.environ[name] for name in ("HOME", "LD_LIBRARY_PATH") if name in os.environ
        }
        self._environment = {**kept, "PATH": f"{programs}:{os.environ['PATH']}"}

    def blocks(self, heading: str, language: str = "sh") -> list[str]:
        """The blocks of code below a heading, with the places replaced."""
        _, found, rest = self._text.partition(f"\n## {heading}\n")
        assert found, heading
        section = rest.partition("\n## ")[0]
        return [
            self._localised(block)
            for block in re.findall(
                rf"^```{language}\n(.*?)^```", section, re.DOTALL | re.MULTILINE
            )
        ]

    def run(self, heading: str, number: int = 0) -> str:
        """Runs one of a heading's blocks in a shell. Fails with what it says."""
        script = self.blocks(heading)[number]
        done = subprocess.run(
            ["sh", "-euc", script],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _localised(self, block: str) -> str:
        for written, here in self._places.items():
            block = block.replace(written, here)
        return block
