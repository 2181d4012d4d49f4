"""Reads from a real streaming standby, and from the primary while it is away."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import asyncpg
import httpx
import pytest

from monitor.database import reads as module
from monitor.database.embedded.programs import binaries
from monitor.database.embedded.server import EmbeddedPostgres
from monitor.database.pool import Connection, Database
from monitor.database.reads import Reads
from monitor.errors import Busy, Forbidden, Unavailable
from tests.support.replicas import Replica


class Pair(NamedTuple):
    primary: EmbeddedPostgres
    standby: EmbeddedPostgres


def address(server: EmbeddedPostgres) -> dict[str, object]:
    return {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "database": server.database,
    }


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    place = tmp_path_factory.mktemp("pair")
    with EmbeddedPostgres(place / "primary") as primary:
        standby = EmbeddedPostgres(place / "standby")
        standby.directory.mkdir()
        copy(primary, standby.data)
        with standby:
            yield Pair(primary, standby)


def copy(primary: EmbeddedPostgres, data: Path) -> None:
    command = [str(binaries() / "pg_basebackup"), "--write-recovery-conf", "--checkpoint=fast"]
    command += ["-h", primary.host, "-p", str(primary.port), "-U", primary.user, "-D", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Counted:
    times = 0

    async def catch_up(self) -> None:
        self.times += 1


class Reading(NamedTuple):
    reads: Reads
    writer: asyncpg.Connection
    follower: asyncpg.Connection
    counted: Counted


@pytest.fixture
async def reading(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reading]:
    monkeypatch.setattr(module, "MAX_LAG", 0.5)
    monkeypatch.setattr(module, "_INTERVAL", 0.05)
    pair.standby.ensure_running()
    primary, standby = (
        Database(address(pair.primary), 3, 5.0),
        Database(address(pair.standby), 3, 5.0),
    )
    await primary.open()
    writer = await asyncpg.connect(**address(pair.primary))
    follower = await asyncpg.connect(**address(pair.standby))
    counted = Counted()
    reads = Reads(primary, standby, counted.catch_up)
    await reads.start()
    await until(lambda: reads.error is None)
    yield Reading(reads, writer, follower, counted)
    await reads.stop(0)
    await primary.close(1.0)
    await writer.close()
    await follower.close()


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(400):
        if holds():
            return
        await asyncio.sleep(0.05)
    pytest.fail("It did not come true")


async def in_recovery(connection: Connection) -> bool:
    answer: bool = await connection.fetchval("SELECT pg_is_in_recovery()")
    return answer


async def test_a_server_that_is_busy_does_not_blame_the_standby(reading: Reading) -> None:
    calls = []

    async def give_up(connection: Connection) -> None:
        calls.append(connection)
        raise Busy("Others are waiting")

    with pytest.raises(Busy):
        await reading.reads.read(give_up)
    assert len(calls) == 1
    assert reading.reads.error is None


async def test_reads_go_to_the_standby(reading: Reading) -> None:
    assert await reading.reads.read(in_recovery) is True
    await reading.reads.ensure_counted()
    assert reading.counted.times == 0


async def test_current_rows_come_from_the_primary(reading: Reading) -> None:
    assert await reading.reads.read(in_recovery, current=True) is False


async def test_who_may_read_from_the_standby_is_asked_of_the_primary(reading: Reading) -> None:
    checked = []

    async def check(connection: Connection) -> None:
        checked.append(await in_recovery(connection))

    async def refuse(connection: Connection) -> None:
        raise Forbidden("No")

    assert await reading.reads.read(in_recovery, check) is True
    assert checked == [False]
    with pytest.raises(Forbidden):
        await reading.reads.read(in_recovery, refuse)
    assert reading.reads.error is None


async def test_a_read_has_one_snapshot_and_changes_nothing(reading: Reading) -> None:
    await reading.writer.execute("CREATE TABLE seen (n integer)")

    async def count_twice(connection: Connection) -> list[int]:
        first = await connection.fetchval("SELECT count(*) FROM seen")
        await reading.writer.execute("INSERT INTO seen VALUES (1)")
        return [first, await connection.fetchval("SELECT count(*) FROM seen")]

    async def write(connection: Connection) -> None:
        await connection.execute("INSERT INTO seen VALUES (2)")

    assert await reading.reads.read(count_twice, current=True) == [0, 0]
    with pytest.raises(Unavailable):
        await reading.reads.read(write, current=True)


async def test_reads_go_to_the_primary_while_the_standby_is_away(
    reading: Reading, pair: Pair
) -> None:
    pair.standby._end_child()
    assert await reading.reads.read(in_recovery) is False
    assert reading.reads.error
    await reading.reads.ensure_counted()
    assert reading.counted.times == 1
    pair.standby.ensure_running()
    await until(lambda: reading.reads.error is None)
    assert await reading.reads.read(in_recovery) is True


async def test_a_standby_that_stays_behind_is_not_used(reading: Reading) -> None:
    await reading.follower.execute("SELECT pg_wal_replay_pause()")
    await reading.writer.execute("CREATE TABLE IF NOT EXISTS late (n integer)")
    await until(lambda: reading.reads.error is not None)
    assert "behind" in str(reading.reads.error)
    assert reading.reads.lag > 0.5
    assert await reading.reads.read(in_recovery) is False
    await reading.follower.execute("SELECT pg_wal_replay_resume()")
    await until(lambda: reading.reads.error is None)
    assert reading.reads.lag == 0


async def test_what_the_standby_cannot_answer_the_primary_is_asked(reading: Reading) -> None:
    await reading.follower.execute("SELECT pg_wal_replay_pause()")
    await reading.writer.execute("CREATE TABLE fresh (n integer)")

    async def read(connection: Connection) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await connection.fetch("SELECT * FROM fresh")
        return rows

    assert await reading.reads.read(read) == []
    await reading.follower.execute("SELECT pg_wal_replay_resume()")


def execute(server: EmbeddedPostgres, statement: str) -> object:
    async def connected() -> object:
        connection = await asyncpg.connect(**address(server))
        answer: object = await connection.fetchval(statement)
        await connection.close()
        return answer

    return asyncio.run(connected())


def pause(standby: EmbeddedPostgres) -> None:
    execute(standby, "SELECT pg_wal_replay_pause()")  # a wish, which is granted a little later
    becomes(lambda: execute(standby, "SELECT pg_get_wal_replay_pause_state()"), "paused")


def becomes(answer: Callable[[], object], wanted: object) -> None:
    deadline = time.monotonic() + 20
    while answer() != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    assert answer() == wanted


def test_a_replica_reads_from_its_standby(pair: Pair, tmp_path: Path) -> None:
    environment = {
        "POSTGRES_SERVER": pair.primary.host,
        "POSTGRES_READ_SERVER": pair.standby.host,
        "DATA_DIR": str(tmp_path),
    }
    with Replica(environment) as replica, httpx.Client(base_url=f"{replica.url}/api/v1") as client:

        def states() -> tuple[int, str, str]:
            answer = client.get("/health")
            health = answer.json()
            return answer.status_code, health["status"], health["standby"]["state"]

        becomes(states, (200, "ok", "ok"))
        has_schema = "SELECT to_regclass('outbox_counts') IS NOT NULL"
        becomes(lambda: execute(pair.standby, has_schema), True)  # or the primary would answer
        pause(pair.standby)
        client.post("/classes", json={"name": "1組", "class_code": "1"})
        client.post("/classes/1/students", json=[{"user_id": "hanako"}])
        event = {"eventType": "cell_error", "userId": "hanako"}
        assert client.post("/events", json=[event]).json()["stored"] == 1
        assert client.get("/classes/1/now").status_code == 404  # the standby knows nothing yet
        call = {"eventType": "help", "userId": "hanako"}
        assert client.post("/events", json=[call]).json()["stored"] == 1
        assert client.post("/classes/1/help/1/take", json={"name": "Sato"}).status_code == 200
        (request,) = client.get("/classes/1/help").json()  # never from a standby
        assert request["taken_by"] == "Sato"
        execute(pair.standby, "SELECT pg_wal_replay_resume()")
        becomes(lambda: client.get("/classes/1/now").status_code, 200)
        pair.standby._end_child()
        assert client.get("/classes/1/now").json()[0]["errors_in_a_row"] == 1
        assert states() == (200, "degraded", "degraded")
        pair.standby.ensure_running()
        becomes(states, (200, "ok", "ok"))
