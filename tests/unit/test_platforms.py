"""`scripts/platforms.py`, with wheels of our own."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT

SCRIPT = ROOT / "scripts" / "platforms.py"
METADATA = "Metadata-Version: 2.1\nName: sample\nVersion: 1\n"


def write_wheel(directory: Path, tag: str) -> None:
    with zipfile.ZipFile(directory / f"sample-1-{tag}.whl", "w") as wheel:
        wheel.writestr("sample-1.dist-info/METADATA", METADATA)
        wheel.writestr("sample-1.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        wheel.writestr("sample-1.dist-info/RECORD", "")


def run(directory: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, str(SCRIPT), *options],
        cwd=directory,
        env={**environment, "UV_HTTP_RETRIES": "0", "UV_NO_CACHE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """One with lock files that name `sample`, and a wheel of it for x86_64."""
    for name in ("requirements.txt", "requirements-run.txt"):
        (tmp_path / name).write_text("sample==1\n")
    write_wheel(tmp_path, "cp313-cp313-manylinux_2_28_x86_64")
    return tmp_path


def test_a_platform_without_a_wheel_is_an_error(directory: Path) -> None:
    done = run(directory, "--no-index", "--find-links", ".")
    assert done.returncode == 1
    assert "requirements-run.txt can't be installed on aarch64-manylinux_2_28" in done.stdout
    assert "0 of 5 platforms" in done.stdout


def test_a_wheel_for_every_machine_is_enough(directory: Path) -> None:
    write_wheel(directory, "py3-none-any")
    done = run(directory, "--no-index", "--find-links", ".")
    assert (done.returncode, done.stdout) == (
        0,
        "5 of 5 platforms have wheels of all dependencies\n",
    )


def test_an_index_out_of_reach_is_said(directory: Path) -> None:
    done = run(directory, "--index-url", "http://127.0.0.1:9/simple")
    assert done.returncode == 0
    assert done.stdout.count("NOT CHECKED for wheels: ") == 5
