"""Data directories for the tests of the embedded PostgreSQL."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.database.embedded.server import EmbeddedPostgres
from tests.support.embedded import run_query


@pytest.fixture(scope="session")
def postgres_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of an embedded PostgreSQL, for every test that leaves it whole."""
    directory = tmp_path_factory.mktemp("embedded") / "postgres"
    with EmbeddedPostgres(directory) as postgres:
        asyncio.run(run_query(postgres.host, "CREATE TABLE words (word text)"))
    return directory


@pytest.fixture
def copied_directory(postgres_directory: Path, tmp_path: Path) -> Path:
    """One to crash in, made by copying because initdb takes longer."""
    shutil.copytree(postgres_directory / "data", tmp_path / "postgres" / "data")
    return tmp_path / "postgres"


@pytest.fixture
def open_directory(postgres_directory: Path) -> Iterator[Path]:
    """One that every user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        shutil.copytree(postgres_directory / "data", Path(directory) / "postgres" / "data")
        yield Path(directory) / "postgres"
