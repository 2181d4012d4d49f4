import io
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support import programs
from tests.support.programs import ProgramError
from tests.support.scripts import add_to_path

# In place of the network: a package, and another one that it needs.
FAKE_FETCH = """
case "$*" in
*simulate*) printf 'Inst libgreeting (1 Debian)\\nInst greeting (1 Debian)\\nConf greeting\\n';;
*download*) while [ "$1" != download ]; do shift; done; shift
    echo "$*" >>"$ASKED"; for each; do touch "$each.deb"; done;;
esac
"""
FAKE_UNPACK = r"""
mkdir -p "$3/usr/bin" "$3/usr/lib/some-linux-gnu/deep"
case $2 in
*libgreeting*) touch "$3/usr/lib/some-linux-gnu/deep/libgreeting.so.1";;
*) printf '#!/bin/sh\necho "$LD_LIBRARY_PATH $XDG_DATA_HOME $*"\n' >"$3/usr/bin/greet"
    chmod +x "$3/usr/bin/greet";;
esac
"""
FINDERS = [
    pytest.param(programs.find_redis, r"install redis-server.*TEST_REDIS=host:port", id="redis"),
    pytest.param(programs.find_influxd, r"install influxdb.*TEST_INFLUXDB=http://", id="influxdb"),
    pytest.param(programs.find_haproxy, r"install haproxy.*brew install haproxy", id="haproxy"),
    pytest.param(programs.find_chromium, r"install chromium.*TEST_CHROMIUM=/path", id="chromium"),
]


@pytest.fixture(scope="module")
def node() -> str:
    return programs.find_node()


@pytest.fixture(autouse=True)
def _nothing_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "CACHE", tmp_path / "cache dir")
    monkeypatch.setattr(programs, "SYSTEM", ())
    monkeypatch.setattr(programs, "find_spec", lambda name: None)
    monkeypatch.setattr(programs, "runs_debian", lambda: True)
    monkeypatch.setattr(programs, "BROWSERS", programs.BROWSERS[:-1])
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    monkeypatch.delenv("TEST_CHROMIUM", raising=False)


def greet() -> str:
    return programs.debian("greeting", "usr/bin/greet", "No greeting")


@pytest.mark.parametrize(("find", "advice"), FINDERS)
def test_what_is_missing_is_an_error_that_says_what_to_do(
    find: Callable[[], str], advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ProgramError, match=advice):
        find()


def test_package_runs_with_its_own_libraries_and_fonts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_to_path(monkeypatch, tmp_path, apt_get=FAKE_FETCH, dpkg=FAKE_UNPACK)
    starter = greet()
    said = subprocess.check_output([starter, "a b", "c"], env={}, text=True)
    root = tmp_path / "cache dir" / "greeting"
    assert said == f"{root}/usr/lib/some-linux-gnu/deep {root}/usr/share a b c\n"


def test_a_package_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_to_path(monkeypatch, tmp_path, apt_get=f"sleep 0.1; {FAKE_FETCH}", dpkg=FAKE_UNPACK)
    with ThreadPoolExecutor() as threads:
        first, second = threads.map(lambda _: greet(), range(2))
    assert first == second == greet()
    assert (tmp_path / "asked").read_text() == "greeting libgreeting greeting\n"


@pytest.mark.parametrize(
    ("apt_get", "dpkg"),
    [
        pytest.param("echo no network; exit 100", "", id="network"),
        pytest.param(f"{FAKE_FETCH}; case $* in *down*) exit 1;; esac", FAKE_UNPACK, id="download"),
        pytest.param(FAKE_FETCH, f"{FAKE_UNPACK}; exit 2", id="unpack"),
    ],
)
def test_a_failed_fetch_says_so_and_is_tried_again(
    apt_get: str, dpkg: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_to_path(monkeypatch, tmp_path, apt_get=apt_get, dpkg=dpkg)
    with pytest.raises(ProgramError, match=r"No greeting[^\0]*Fetching it failed"):
        greet()
    add_to_path(monkeypatch, tmp_path, apt_get=FAKE_FETCH, dpkg=FAKE_UNPACK)
    assert subprocess.check_output([greet()])


class Downloads(BaseHTTPRequestHandler):
    """Has everything that Playwright may ask for, each time the same."""

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("ffmpeg-linux", "ffmpeg-mac", "chrome-linux/headless_shell"):
            file.writestr(name, "")
        for platform in ("linux64", "mac-x64", "mac-arm64"):
            file.writestr(f"chrome-headless-shell-{platform}/chrome-headless-shell", "")

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.archive.getvalue())))
        self.end_headers()
        self.wfile.write(self.archive.getvalue())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def download_host() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Downloads) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_playwright_fetches_its_browser_off_debian(
    node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "runs_debian", lambda: False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", node)
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "browsers"))
    with download_host() as url:
        monkeypatch.setenv("PLAYWRIGHT_DOWNLOAD_HOST", url)
        assert programs.find_chromium() is None
    assert list((tmp_path / "browsers").glob("chromium_headless_shell-*"))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "others"))
    with pytest.raises(ProgramError, match=r"TEST_CHROMIUM=[^\0]*ECONNREFUSED"):
        programs.find_chromium()


def test_node_gets_the_library_that_a_small_debian_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(programs, "find_spec", lambda name: package)
    (tmp_path / "driver").mkdir()
    add_to_path(monkeypatch, tmp_path / "driver", node='test "$LD_LIBRARY_PATH" && echo "runs $1"')
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("PATH", "")
        with pytest.raises(ProgramError, match="apt-get install libatomic1"):
            programs.find_node()
    add_to_path(monkeypatch, tmp_path, apt_get=FAKE_FETCH, dpkg=FAKE_UNPACK)
    assert subprocess.check_output([programs.find_node(), "here"], text=True) == "runs here\n"


def test_a_named_browser_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_CHROMIUM", "/opt/browser")
    assert programs.find_chromium() == "/opt/browser"
