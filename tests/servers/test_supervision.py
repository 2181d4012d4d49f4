"""The server looks after its embedded PostgreSQL, and outlives it."""

import resource
import time
import uuid
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx
import psutil
import pytest

from tests.support.embedded import postmaster_of
from tests.support.replicas import Replica
from tests.support.waiting import eventually
from tests.support.wire import item

ANSWER_TIME = 0.4  # seconds
NO_ROOM = 64 * 1024  # bytes that a file may have: the log of PostgreSQL can't be continued
NO_PAUSE = 0.8  # seconds, for a machine that is busy; a restart on the event loop takes over 1 s


async def part(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    health = (await client.get("/health")).json()
    named: dict[str, Any] = {**health, **health["jobs"]}[name]
    return named


async def assert_answers(client: httpx.AsyncClient, seconds: float) -> None:
    """Asks /health/live again and again for so long."""
    times: list[float] = []
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        assert (await client.get("/health/live")).status_code == 200
        times.append(time.monotonic() - began)
    assert quantiles(times, n=100, method="inclusive")[-1] < ANSWER_TIME
    assert max(times) < NO_PAUSE


async def test_a_killed_postgresql_is_restarted_beside_the_requests(tmp_path: Path) -> None:
    with Replica({"DATA_DIR": str(tmp_path)}) as replica:
        async with httpx.AsyncClient(base_url=replica.url) as client:
            first = postmaster_of(tmp_path / "postgres")
            first.kill()
            await assert_answers(client, 3.0)
            await eventually(lambda: part(client, "postgres"), lambda part: part["state"] == "ok")
            assert postmaster_of(tmp_path / "postgres") != first
            answer = await client.post("/api/v1/events", json=[item()])
            assert answer.json()["stored"] == 1


@pytest.mark.parametrize("stops", [False, True])
async def test_server_outlives_unrestartable_postgresql(tmp_path: Path, stops: bool) -> None:
    with Replica({"DATA_DIR": str(tmp_path)}) as replica:
        version = tmp_path / "postgres" / "data" / "PG_VERSION"
        usable = version.read_text()
        async with httpx.AsyncClient(base_url=replica.url) as client:
            version.write_text("9\n")
            postmaster_of(tmp_path / "postgres").kill()
            await eventually(
                lambda: part(client, "embedded_postgres"),
                lambda part: part["state"] == "degraded" and "did not start" in part["error"],
            )
            await assert_answers(client, 3.0)
            answer = await client.post("/api/v1/events", json=[item()])
            assert answer.json()["spooled"] == 1
            assert (await client.get("/health")).json()["status"] == "degraded"
            assert replica.output().count("Keeping the embedded PostgreSQL running waits") == 1
            version.write_text(usable)
            if stops:
                return
            await eventually(
                lambda: client.get("/health"), lambda got: got.json()["status"] == "ok", within=60
            )
            assert (await part(client, "ledger"))["total"]["stored"] == 1


def set_room(replica: Replica, size: int) -> None:
    """Lets no file of the server, or of what it starts from now on, grow beyond this size."""
    assert replica.process
    process = psutil.Process(replica.process.pid)
    _, most = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (size, most))


async def test_postgresql_comes_back_when_there_is_room_again(tmp_path: Path) -> None:
    with Replica({"DATA_DIR": str(tmp_path)}) as replica:
        async with httpx.AsyncClient(base_url=replica.url) as client:
            set_room(replica, NO_ROOM)
            postmaster_of(tmp_path / "postgres").kill()
            await eventually(
                lambda: part(client, "embedded_postgres"),
                lambda part: part["state"] == "degraded" and "File too large" in part["error"],
            )
            await assert_answers(client, 2.0)
            sent = [item(eventId=str(uuid.uuid4())) for _ in range(3)]
            assert (await client.post("/api/v1/events", json=sent)).json()["spooled"] == 3
            set_room(replica, resource.RLIM_INFINITY)
            await eventually(
                lambda: client.get("/health"), lambda got: got.json()["status"] == "ok", within=60
            )
            assert (await part(client, "ledger"))["total"]["stored"] == 3
