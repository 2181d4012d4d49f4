"""`make run` on a machine where nothing has been set up."""

import re
import shlex
import subprocess
from pathlib import Path

import httpx

from tests.support.openid import run_openid
from tests.support.replicas import Replica
from tests.support.tokens import SECRET


def test_the_greeting_can_be_followed_to_the_letter(tmp_path: Path) -> None:
    with Replica({"DATA_DIR": str(tmp_path)}) as replica:
        said = replica.output()
        assert f"listens on {replica.url}\n" in said
        assert "InfluxDB  off" in said
        assert "Redis     off" in said
        post, look = (shlex.split(line) for line in re.findall("^  curl (.*)$", said, re.M))
        url, _, header, _, body = post
        name, _, value = header.partition(": ")
        assert httpx.post(url, headers={name: value}, content=body).json()["stored"] == 1
        assert httpx.get(look[0]).json()["status"] == "ok"
        (psql,) = re.findall("^  psql      (.*)$", said, re.M)
        query = [*shlex.split(psql), "-XAtc", "SELECT user_id FROM students"]
        assert subprocess.check_output(query, text=True) == "hanako\n"


def test_where_credentials_are_needed_the_greeting_says_how_to_come_in(tmp_path: Path) -> None:
    known = {"DATA_DIR": str(tmp_path), "JWT_SECRET": SECRET}
    with Replica({**known, "PUBLIC_URL": "https://school.example/monitor/"}) as replica:
        said = replica.output()
        assert "Open https://school.example/monitor/ for the teacher's page, and paste" in said
        assert "to https://school.example/monitor/api/v1/events?key=…" in said
        (look,) = re.findall("^  curl (.*)$", said, re.M)
        assert httpx.get(look).json()["status"] == "ok"
    with run_openid() as provider, Replica({**known, **provider.settings}) as replica:
        assert f"Open {replica.url}/ for the teacher's page, and sign in." in replica.output()
