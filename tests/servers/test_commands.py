"""Commands where the database is not ready for them."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.schema import FILES


async def run(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(ROOT / "run.py"), *arguments],
        env={"PATH": os.environ["PATH"], "INFLUXDB_URL": "http://127.0.0.1:1", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def empty_directory(tmp_path: Path) -> Iterator[Path]:
    """One that is still empty at the end of the test."""
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


async def test_a_dry_run_creates_nothing(empty_directory: Path) -> None:
    environment = {"DATA_DIR": str(empty_directory / "data")}
    done = await run(environment, "migrate", "--dry-run")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    directory = empty_directory / "data" / "postgres"
    assert lines[0] == f"Would create an embedded PostgreSQL in {directory}"
    assert lines[1:-2] == [f"Would apply {path.name}" for path in FILES]
    assert lines[-2].startswith("Would create partitions from 400 days back to 12 months ahead")
    assert lines[-1] == "Nothing was changed"
