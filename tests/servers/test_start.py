"""`make run` on a machine where nothing has been set up."""

import re
import shlex
import subprocess
from pathlib import Path

import httpx

from tests.support.replicas import Replica


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
