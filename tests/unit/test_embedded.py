"""Errors that keep the embedded PostgreSQL from starting."""

import subprocess
import sys
from pathlib import Path

import pytest

from monitor.database.embedded.programs import EmbeddedPostgresError
from monitor.database.embedded.server import EmbeddedPostgres
from tests.support.embedded import (
    SERVER,
)
from tests.support.paths import ROOT


def test_a_directory_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    thesis = tmp_path / "data" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("mine")
    with pytest.raises(EmbeddedPostgresError, match="DATA_DIR"):
        EmbeddedPostgres(tmp_path).start()
    assert thesis.read_text() == "mine"


def test_without_the_wheel_the_message_says_what_to_do(tmp_path: Path) -> None:
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {SERVER}"
    bare = [sys.executable, "-I", "-S", "-c", script, str(tmp_path), "False"]
    run = subprocess.run(bare, capture_output=True, text=True, check=False)
    assert "make install" in run.stderr
    assert "DATABASE_URL" in run.stderr
