"""The demo: a class that makes every view of the page alive."""

import subprocess
import sys

import httpx

from tests.support.paths import ROOT
from tests.support.replicas import Replica

DEMO = ROOT / "scripts" / "demo.py"


def test_the_demo_fills_every_view(replica: Replica) -> None:
    url = f"{replica.url}/api/v1"
    command = [sys.executable, str(DEMO), "--url", url, "--seconds", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "Class 1 is working" in done.stdout
    with httpx.Client(base_url=url) as api:
        now = api.get("/classes/1/now").json()
        assert len(now) == 38
        assert {"active", "error", "help"} <= {each["state"] for each in now}
        roster = api.get("/classes/1/students").json()
        by_number = sorted(roster, key=lambda each: each["number"])
        assert [each["number"] for each in by_number] == list(range(1, 39))
        assert [each["kana"] for each in by_number] == sorted(each["kana"] for each in roster)
        assert [by_number[place]["seat"] for place in (0, 7, 8, 37)] == ["A1", "A8", "B1", "E6"]
        room = api.get("/classes/1/room").json()
        assert (room["rows"], room["columns"], room["aisles"]) == (5, 8, [4])
        assert len(room["seats"]) == 38
        assert api.get("/classes/1/help").json()
        assert api.get("/classes/1/errors").json()["groups"]
        (assignment,) = api.get("/assignments").json()
        cells = api.get(f"/assignments/{assignment['id']}/cells").json()["cells"]
        assert len(cells) == 8
        assert len(api.get("/submissions").json()) == 9
        assert any(each["executions"] for each in api.get("/classes/1/activity").json())


def test_without_a_server_it_says_what_to_do() -> None:
    command = [sys.executable, str(DEMO), "--url", "http://127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "make run" in done.stderr
