"""The wheel, installed into an environment of its own: it serves from an empty directory.

The dependencies are those of the tests' environment, so no network is needed; that all of them are
declared is what `deptry` checks in `make check`.
"""

import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from monitor import __version__
from tests.support.paths import ROOT
from tests.support.replicas import Replica

EVENTS = [{"eventType": "cell_executed", "userId": "hanako", "notebookPath": "lesson.ipynb"}]


def run(*command: str | Path, cwd: Path) -> str:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the programs of an environment with the wheel in it."""
    directory = tmp_path_factory.mktemp("wheel")
    directory.parent.chmod(0o711)  # PostgreSQL runs as another user, if the tests are root's
    environment = directory / "environment"
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory, cwd=ROOT)
    (wheel,) = directory.glob("*.whl")
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    site = run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=directory
    )
    dependencies = Path(site.strip()) / "dependencies.pth"
    dependencies.write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-index"]
    run(*pip, "--no-deps", "--quiet", "--disable-pip-version-check", wheel, cwd=directory)
    return python.parent


@pytest.fixture
def replica(programs: Path, tmp_path: Path) -> Iterator[Replica]:
    with Replica({}, command=[str(programs / "cell-monitor"), "serve"], cwd=tmp_path) as replica:
        yield replica


def test_command_serves_from_an_empty_directory(replica: Replica, tmp_path: Path) -> None:
    assert httpx.post(replica.events_url, json=EVENTS).json()["stored"] == 1
    health = httpx.get(f"{replica.url}/health").json()
    assert (health["status"], health["version"]) == ("ok", __version__)
    page = httpx.get(f"{replica.url}/")
    assert page.headers["Content-Type"].startswith("text/html")
    links = re.findall(r'(?:src|href)="(page/[^"]+)"', page.text)
    assert links
    for link in links:
        assert httpx.get(f"{replica.url}/{link}").status_code == 200, link
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_command_and_module_are_the_same(programs: Path, tmp_path: Path) -> None:
    expected = f"Cell Monitor {__version__}\n"
    assert run(programs / "cell-monitor", "--version", cwd=tmp_path) == expected
    assert run(programs / "python", "-m", "monitor", "--version", cwd=tmp_path) == expected


def test_wheel_has_each_file_of_the_schema(programs: Path, tmp_path: Path) -> None:
    code = "from monitor.database.migrations import SQL; print(SQL)"
    installed = Path(run(programs / "python", "-c", code, cwd=tmp_path).strip())
    assert installed.is_relative_to(programs.parent)
    files = {path.name: path.read_bytes() for path in installed.iterdir()}
    assert files == {path.name: path.read_bytes() for path in (ROOT / "sql").iterdir()}
