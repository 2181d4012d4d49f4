"""`scripts/audit.py`, with advisories of our own."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.paths import ROOT

ADVISORY = {
    "id": "GHSA-aaaa-bbbb-cccc",
    "published": "2026-01-01T00:00:00Z",
    "modified": "2026-01-01T00:00:00Z",
    "summary": "x",
    "affected": [
        {
            "package": {"name": "starlette", "ecosystem": "PyPI"},
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999.1"}]},
            ],
        }
    ],
}


@contextmanager
def osv(vulnerable: str) -> Iterator[str]:
    """OSV's address, where one package is vulnerable."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = asked["package"]["name"] == vulnerable
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"vulns": [ADVISORY]} if known else {}).encode())

        def log_message(self, *_: object) -> None:
            """Keeps quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def audit(url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/audit.py", "--osv-url", url, "--timeout", "5"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("vulnerable", "status", "message"),
    [
        ("", 0, "dependencies checked: no known vulnerability\n"),
        ("starlette", 1, "GHSA-aaaa-bbbb-cccc, fixed in 999.1\n"),
    ],
)
def test_a_known_vulnerability_fails(vulnerable: str, status: int, message: str) -> None:
    with osv(vulnerable) as url:
        done = audit(url)
    assert done.returncode == status, done.stderr
    assert done.stdout.endswith(message)
    assert "NOT CHECKED" not in done.stdout


def test_what_could_not_be_checked_is_not_called_good() -> None:
    done = audit("http://127.0.0.1:9")
    assert done.returncode == 0
    assert done.stdout.startswith("NOT CHECKED for known vulnerabilities: no dependency: ")
    assert "no known vulnerability" not in done.stdout
