"""A DATA_DIR whose disk is full, or small, at the start of a server."""

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from monitor.database.embedded.server import EmbeddedPostgres
from tests.support.events import event
from tests.support.postgres import address_of, environment_of
from tests.support.programs import find_small_disks
from tests.support.replicas import RUN, Replica
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs("small disks")

FULL = """
    mount -t tmpfs -o size=80m tmpfs "$DATA_DIR"
    head -c 100m /dev/zero >"$DATA_DIR/filler" 2>/dev/null || :
    exec "$@"
"""
NO_INODES = """
    mount -t tmpfs -o size=200m,nr_inodes=1 tmpfs "$(dirname "$DATA_DIR")"
    exec "$@"
"""
READ_ONLY = """
    mount -t tmpfs -o size=200m tmpfs "$DATA_DIR"
    mount -o remount,ro "$DATA_DIR"
    exec "$@"
"""
SMALL = """
    mount -t tmpfs -o size=40m tmpfs "$DATA_DIR"
    exec "$@"
"""


def on_disk(script: str, *command: str) -> tuple[str, ...]:
    """The command, run where DATA_DIR is another disk, which only it sees."""
    return (*find_small_disks(), script, "sh", *command)


def inside(replica: Replica, path: Path) -> Path:
    """A path as the server sees it."""
    assert replica.process is not None
    return Path(f"/proc/{replica.process.pid}/root{path}")


async def health(replica: Replica) -> Any:
    async with httpx.AsyncClient(timeout=10) as client:
        return (await client.get(f"{replica.url}/health")).json()


async def post(replica: Replica, **fields: Any) -> httpx.Response:
    async with httpx.AsyncClient(timeout=10) as client:
        return await client.post(replica.events_url, json=[event(**fields)])


async def test_a_full_disk_of_data_dir_keeps_no_server_from_starting(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    with EmbeddedPostgres(tmp_path / "postgres") as own_postgres:
        environment = environment_of(address_of(own_postgres), data_dir)
        with Replica(environment, command=on_disk(FULL, *RUN)) as replica:
            assert (await post(replica)).json()["stored"] == 1
            state = await health(replica)
            assert state["status"] == "degraded"
            assert state["postgres"]["state"] == "ok"
            assert state["spool"]["state"] == "down"
            assert str(data_dir) in state["spool"]["error"]
            await asyncio.to_thread(own_postgres.stop)
            assert (await post(replica)).status_code == 503
            inside(replica, data_dir / "filler").unlink()

            async def spooled() -> bool:
                return (await post(replica)).status_code == 202

            await eventually(spooled)
            await asyncio.to_thread(own_postgres.start)

            async def well() -> bool:
                return bool((await health(replica))["status"] == "ok")

            await eventually(well, within=30)
            assert "Traceback" not in replica.output()


async def test_a_data_dir_is_made_when_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with EmbeddedPostgres(tmp_path / "postgres") as own_postgres:
        environment = environment_of(address_of(own_postgres), disk / "data")
        with Replica(environment, command=on_disk(NO_INODES, *RUN)) as replica:
            assert (await post(replica)).json()["stored"] == 1
            assert (await health(replica))["spool"]["state"] == "down"
            assert replica.process is not None
            enlarge = f"mount -o remount,nr_inodes=1000 {disk}"
            as_root = () if os.geteuid() == 0 else ("--user", "--preserve-credentials")
            inside_it = ("nsenter", "--mount", *as_root, "--target", str(replica.process.pid))
            await asyncio.to_thread(subprocess.run, [*inside_it, "sh", "-c", enlarge], check=True)

            async def well() -> bool:
                return bool((await health(replica))["status"] == "ok")

            await eventually(well, within=30)
            assert inside(replica, disk / "data" / "spool" / "replica").exists()


async def test_a_read_only_data_dir_keeps_no_server_from_starting(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    with EmbeddedPostgres(tmp_path / "postgres") as own_postgres:
        environment = environment_of(address_of(own_postgres), data_dir)
        with Replica(environment, command=on_disk(READ_ONLY, *RUN)) as replica:
            assert (await post(replica)).json()["stored"] == 1
            spool = (await health(replica))["spool"]
            assert spool["state"] == "down"
            assert "Read-only file system" in spool["error"]


def test_an_embedded_postgresql_on_a_full_disk_says_so(tmp_path: Path) -> None:
    script = """
        mount -t tmpfs -o size=100m tmpfs "$DATA_DIR"
        chmod 711 "$DATA_DIR"
        "$@" migrate >"$DATA_DIR/log"
        head -c 100m /dev/zero >"$DATA_DIR/filler" 2>/dev/null || :
        exec "$@"
    """
    finished = run(tmp_path, script)
    assert finished.returncode == 1
    assert "Traceback" not in finished.stderr
    for words in ("PostgreSQL did not start", str(tmp_path), "0 MB free: free some space"):
        assert words in finished.stderr


def run(data_dir: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    replica = Replica({"DATA_DIR": str(data_dir)})
    replica.log.close()
    return subprocess.run(
        on_disk(script, *RUN, *arguments),
        env=replica.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", [(), ("serve", "--class", "Physics"), ("migrate",)])
def test_a_first_start_on_a_small_disk_says_what_it_takes(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    finished = run(tmp_path, SMALL, *command)
    assert finished.returncode == 1
    assert "Traceback" not in finished.stderr
    for words in (str(tmp_path), "MB free", "DATA_DIR", "DATABASE_URL"):
        assert words in finished.stderr


def test_a_full_disk_leaves_no_empty_secret(tmp_path: Path) -> None:
    """The next server would take it for none, and be an open one."""
    script = FULL.replace('exec "$@"', '"$@" || ls "$DATA_DIR"')
    finished = run(tmp_path, script, "serve", "--class", "Physics")
    assert finished.stdout.split() == ["filler"]
    assert "Traceback" not in finished.stderr
    for words in (str(tmp_path), "secret", "free some space"):
        assert words in finished.stderr
