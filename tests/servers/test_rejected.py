"""Dead letters in the API: listed, replayed, deleted."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from tests.support.events import event, post
from tests.support.influx import read_points
from tests.support.postgres import Address, fetch
from tests.support.replicas import Replica
from tests.support.servers import InfluxServer
from tests.support.waiting import eventually

# An insert into answers ends its own connection.
CUT_OFF = """
    CREATE TABLE answers (by text);
    CREATE FUNCTION cut_off() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END';
    CREATE TRIGGER cut_off BEFORE INSERT ON answers FOR EACH ROW EXECUTE FUNCTION cut_off()
"""
QUIZ = """
from monitor import Handlers
handlers = Handlers()
@handlers.on("quiz_answered")
async def quiz_answered(event, connection):
    await connection.execute("INSERT INTO answers VALUES ($1)", event.student)
"""
WAITING = """
    SELECT count(*) AS n FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
LATE = 'student_progress,event=help,userId=taro notebookPath="" 1700000000000000007'


@pytest.fixture
def replica(
    environment: dict[str, str], influx_server: InfluxServer, tmp_path: Path
) -> Iterator[Replica]:
    """A replica with InfluxDB, and with a handler that lacks its table."""
    (tmp_path / "quiz.py").write_text(QUIZ)
    more = {
        "INFLUXDB_URL": influx_server.url,
        "INFLUXDB_BUCKET": environment["POSTGRES_DB"],
        "HANDLERS": "quiz",
        "PYTHONPATH": str(tmp_path),
    }
    with Replica(environment | more) as replica:
        yield replica


@pytest.fixture
async def api(replica: Replica) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1", timeout=20) as client:
        yield client


async def letter(postgres: Address, source: str, raw: str, path: str = "") -> int:
    connection = await asyncpg.connect(**postgres)
    try:
        return int(
            await connection.fetchval(
                "INSERT INTO rejected_events (digest, source, path, reason, raw)"
                " VALUES (sha256(convert_to($1 || $2, 'UTF8')), $1, $3, 'for the test', $2)"
                " RETURNING id",
                source,
                raw,
                path,
            )
        )
    finally:
        await connection.close()


async def sources(api: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await api.get("/rejected-events", params=query)
    assert answer.status_code == 200
    return [item["source"] for item in answer.json()]


async def test_letters_are_listed_a_page_at_a_time_and_thrown_away(
    api: httpx.AsyncClient, replica: Replica, postgres: Address
) -> None:
    await post(replica, event(), {"userId": "no type"})
    await post(replica, {"eventType": "help"})
    point = await letter(postgres, "influxdb", LATE)
    answer = await api.get("/rejected-events", params={"limit": 2})
    assert answer.headers["X-Total-Count"] == "3"
    latest, before = answer.json()
    assert (latest["id"], latest["source"], latest["raw"]) == (point, "influxdb", LATE)
    assert json.loads(before["raw"]) == {"eventType": "help"}
    assert "userId" in before["reason"]
    (first,) = (await api.get("/rejected-events", params={"before": before["id"]})).json()
    assert json.loads(first["raw"]) == {"userId": "no type"}
    assert await sources(api, source="influxdb") == ["influxdb"]
    assert (await api.delete(f"/rejected-events/{point}")).json()["raw"] == LATE
    assert (await api.delete(f"/rejected-events/{point}")).status_code == 404
    assert await sources(api) == ["ingest", "ingest"]


async def test_replayed_valid_item_is_stored_and_letter_deleted(
    api: httpx.AsyncClient, postgres: Address
) -> None:
    item = event()
    for outcome in ("stored", "duplicate"):
        number = await letter(postgres, "ingest", json.dumps(item))
        answer = await api.post(f"/rejected-events/{number}/replay")
        assert answer.json() == {"id": number, "outcome": outcome}
    assert await sources(api) == []
    assert await fetch(postgres, "SELECT count(*) AS n FROM cell_executions") == [{"n": 1}]


async def test_an_item_that_is_invalid_still_stays(
    api: httpx.AsyncClient, postgres: Address
) -> None:
    number = await letter(postgres, "ingest", '{"eventType": "help"}')
    answer = await api.post(f"/rejected-events/{number}/replay")
    assert answer.status_code == 409
    assert "userId" in answer.json()["detail"]
    assert await sources(api) == ["ingest"]
    assert (await api.post("/rejected-events/0/replay")).status_code == 404


async def test_a_handler_is_run_again_once_it_can(
    api: httpx.AsyncClient, postgres: Address
) -> None:
    quiz = json.dumps(event(eventType="quiz_answered"))
    number = await letter(postgres, "handler", quiz, "quiz.quiz_answered")
    answer = await api.post(f"/rejected-events/{number}/replay")
    assert answer.status_code == 409
    assert "answers" in answer.json()["detail"]
    await fetch(postgres, "CREATE TABLE answers (by text)")
    answer = await api.post(f"/rejected-events/{number}/replay")
    assert answer.json() == {"id": number, "outcome": "handled"}
    assert await fetch(postgres, "SELECT * FROM answers") == [{"by": "hanako"}]
    unknown = await letter(postgres, "handler", quiz, "no_such_handler")
    assert (await api.post(f"/rejected-events/{unknown}/replay")).status_code == 409


async def test_a_letter_of_the_first_version_names_only_the_function(
    api: httpx.AsyncClient, postgres: Address
) -> None:
    await fetch(postgres, "CREATE TABLE answers (by text)")
    quiz = json.dumps(event(eventType="quiz_answered"))
    number = await letter(postgres, "handler", quiz, "quiz_answered")
    answer = await api.post(f"/rejected-events/{number}/replay")
    assert answer.json() == {"id": number, "outcome": "handled"}


@pytest.mark.parametrize("source", ["ingest", "handler"])
@pytest.mark.parametrize("raw", ["82a16101", "1, 2", "{}, {}", '{"of": "yore"}'])
async def test_a_letter_that_is_no_event_is_not_replayed(
    api: httpx.AsyncClient, postgres: Address, source: str, raw: str
) -> None:
    number = await letter(postgres, source, raw, "quiz.quiz_answered")
    answer = await api.post(f"/rejected-events/{number}/replay")
    assert (answer.status_code, await sources(api)) == (409, [source])


async def test_a_replay_that_loses_postgresql_can_be_repeated(
    api: httpx.AsyncClient, postgres: Address, pool: asyncpg.Pool
) -> None:
    await pool.execute(CUT_OFF)
    number = await letter(
        postgres, "handler", json.dumps(event(eventType="quiz_answered")), "quiz.quiz_answered"
    )
    answer = await api.post(f"/rejected-events/{number}/replay")
    assert (answer.status_code, await sources(api)) == (503, ["handler"])
    await pool.execute("DROP TRIGGER cut_off ON answers")
    answer = await api.post(f"/rejected-events/{number}/replay")
    assert answer.json() == {"id": number, "outcome": "handled"}


async def test_two_replays_at_once_run_a_handler_once(
    api: httpx.AsyncClient, postgres: Address
) -> None:
    number = await letter(
        postgres, "handler", json.dumps(event(eventType="quiz_answered")), "quiz.quiz_answered"
    )
    connection = await asyncpg.connect(**postgres)
    try:
        await connection.execute("CREATE TABLE answers (by text)")
        async with asyncio.TaskGroup() as group, connection.transaction():
            await connection.execute("LOCK TABLE answers IN SHARE MODE")  # the handler waits
            replays = [
                group.create_task(api.post(f"/rejected-events/{number}/replay")) for _ in range(2)
            ]
            await eventually(lambda: fetch(postgres, WAITING), lambda rows: rows == [{"n": 2}])
        assert sorted(replay.result().status_code for replay in replays) == [200, 404]
        assert await connection.fetchval("SELECT count(*) FROM answers") == 1
    finally:
        await connection.close()


async def test_a_point_is_written_again_unless_influxdb_still_refuses(
    api: httpx.AsyncClient, postgres: Address, influx_server: InfluxServer
) -> None:
    good = await letter(postgres, "influxdb", LATE)
    answer = await api.post(f"/rejected-events/{good}/replay")
    assert answer.json() == {"id": good, "outcome": "written"}
    assert len(await read_points(influx_server, postgres["database"])) == 1
    bad = await letter(postgres, "influxdb", "no line protocol")
    answer = await api.post(f"/rejected-events/{bad}/replay")
    assert answer.status_code == 409
    assert "unable to parse" in answer.json()["detail"]
    assert await sources(api) == ["influxdb"]


@asynccontextmanager
async def closing_port() -> AsyncIterator[int]:
    """A port that accepts connections and closes them unanswered."""

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def replay_point(environment: dict[str, str], postgres: Address, **influx: str) -> int:
    """The status of the answer when the letter of a point is replayed with this InfluxDB."""
    with Replica(environment | influx) as replica:
        number = await letter(postgres, "influxdb", LATE)
        async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1", timeout=20) as api:
            answer = await api.post(f"/rejected-events/{number}/replay")
            assert await sources(api) == ["influxdb"]
            return answer.status_code


async def test_a_point_waits_for_an_influxdb_that_closes_the_connection(
    environment: dict[str, str], postgres: Address
) -> None:
    async with closing_port() as port:
        url = f"http://127.0.0.1:{port}"
        assert await replay_point(environment, postgres, INFLUXDB_URL=url) == 503


async def test_a_point_waits_for_a_database_that_influxdb_does_not_create(
    environment: dict[str, str], postgres: Address, influx_server: InfluxServer
) -> None:
    influx = {"INFLUXDB_URL": influx_server.url, "INFLUXDB_BUCKET": "no/name"}
    assert await replay_point(environment, postgres, **influx) == 503
