"""Errors that keep the embedded PostgreSQL from starting."""

import subprocess
import sys
from pathlib import Path

import pytest

from monitor.database.embedded.programs import EmbeddedPostgresError, binaries
from monitor.database.embedded.server import EmbeddedPostgres
from monitor.database.embedded.upgrade import upgrade
from tests.support.embedded import SERVER
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


@pytest.mark.parametrize(
    ("version", "advice"), [("9", "cell-monitor upgrade-postgres"), ("999", "pip install")]
)
def test_data_of_another_major_version_is_refused_and_left_alone(
    tmp_path: Path, version: str, advice: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text(version + "\n")
    with pytest.raises(
        EmbeddedPostgresError, match=rf"written by PostgreSQL {version}, .*{advice}"
    ):
        EmbeddedPostgres(tmp_path).start()
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_an_upgrade_says_what_it_can_not_do(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="check DATA_DIR"):
        upgrade(tmp_path, tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedPostgresError, match="can't be run"):
        upgrade(tmp_path, tmp_path)
    with pytest.raises(EmbeddedPostgresError, match=r"has PostgreSQL \d+, but .* by PostgreSQL 9"):
        upgrade(tmp_path, binaries())


def test_data_without_a_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").touch()
    with pytest.raises(EmbeddedPostgresError, match=r"PG_VERSION .* restore a backup"):
        EmbeddedPostgres(tmp_path).start()
