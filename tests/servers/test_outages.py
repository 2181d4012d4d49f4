"""Outages: what clients see when a part fails, and that each part recovers by itself."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from monitor.database.embedded.server import EmbeddedPostgres
from monitor.live.broker import CHANNEL
from tests.chaos.network import Network
from tests.support.events import event, post
from tests.support.influx import read_points
from tests.support.postgres import Address, address_of, environment_of, fetch, row_counts
from tests.support.replicas import Replica
from tests.support.servers import InfluxServer, RedisServer
from tests.support.waiting import eventually


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that a test may stop."""
    with EmbeddedPostgres(tmp_path / "postgres") as server:
        yield server


async def health(replica: Replica, path: str = "/health") -> tuple[int, dict[str, Any]]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(replica.url + path)
        return answer.status_code, answer.json()


async def test_events_are_spooled_while_postgresql_is_down(
    own_postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    with Replica(environment_of(address_of(own_postgres), tmp_path / "data")) as replica:
        first, second = event(), event()
        assert (await post(replica, first)).json()["stored"] == 1
        own_postgres.stop()
        kept = await post(replica, second, {"userId": "no type"})
        assert kept.status_code == 202
        assert (kept.json()["spooled"], len(kept.json()["rejected"])) == (1, 1)
        code, state = await health(replica)
        assert (code, state["status"], state["postgres"]["state"]) == (200, "degraded", "down")
        assert (await health(replica, "/health/ready"))[0] == 200
        classes = f"{replica.url}/api/v1/classes"
        async with httpx.AsyncClient() as client:
            refused = await client.get(classes)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
            assert refused.json() == {"detail": "The server can't do this now: try again"}
            own_postgres.start()
            assert (await client.get(classes)).json() == []

        async def recovered() -> bool:
            return bool((await health(replica))[1]["status"] == "ok")

        await eventually(recovered)
        ledger = (await health(replica))[1]["ledger"]
        assert ledger["process"] == ledger["total"]
        assert ledger["total"] == {
            "received": 3,
            "stored": 2,
            "duplicates": 0,
            "rejected": 1,
            "spooled": 0,
            "pending": 0,
            "withdrawn": 0,
        }
        assert (await post(replica, second)).json()["duplicates"] == 1
    assert (await row_counts(address_of(own_postgres)))["executions"] == 2


async def test_spool_survives_kill_and_start_without_postgresql(
    own_postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    with Replica(environment_of(address_of(own_postgres), tmp_path / "data")) as replica:
        own_postgres.stop()
        sent = [event() for _ in range(3)]
        assert (await post(replica, *sent)).json()["spooled"] == 3
        replica.stop(signal.SIGKILL)
        replica.start()
        assert (await health(replica))[1]["ledger"]["process"]["spooled"] == 3
        assert (await post(replica, event())).json()["spooled"] == 1
        own_postgres.start()

        async def drained() -> bool:
            state = (await health(replica))[1]
            return bool(state["status"] == "ok" and state["ledger"]["process"]["stored"] == 4)

        await eventually(drained)
    assert (await row_counts(address_of(own_postgres)))["executions"] == 4


async def test_after_a_loss_of_the_network_no_dead_connection_is_tried(
    own_postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    async with Network(f"{own_postgres.host}/.s.PGSQL.{own_postgres.port}") as network:
        environment = environment_of(address_of(own_postgres), tmp_path / "data")
        environment |= {"POSTGRES_SERVER": "127.0.0.1", "POSTGRES_PORT": str(network.port)}
        replica = Replica(environment)
        await asyncio.to_thread(replica.start)
        async with httpx.AsyncClient() as client:
            classes = f"{replica.url}/api/v1/classes"
            answers = await asyncio.gather(*(client.get(classes) for _ in range(30)))
            assert {answer.status_code for answer in answers} == {200}
            network.drop()
            assert (await post(replica, event())).json()["spooled"] == 1
            network.dropping = False

            async def recovered() -> bool:
                return bool((await health(replica))[1]["status"] == "ok")

            await eventually(recovered)
            answers = [await client.get(classes) for _ in range(8)]
            assert {answer.status_code for answer in answers} == {200}
        await asyncio.to_thread(replica.stop)
        replica.log.close()


async def test_a_full_queue_is_503_at_once(own_postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    environment = environment_of(address_of(own_postgres), tmp_path / "data")
    with Replica(environment | {"QUEUE_MAX_EVENTS": "1000", "STORE_TIMEOUT": "8"}) as replica:
        own_postgres.stop()
        events = [event() for _ in range(990)]
        waiting = asyncio.create_task(post(replica, *events))

        async def queued() -> int:
            return int((await health(replica))[1]["queue"]["events"])

        await eventually(queued, lambda number: number == 990)
        began = time.monotonic()
        refused = await post(replica, *(event() for _ in range(20)))
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert not waiting.done()
        assert time.monotonic() - began < 2
        assert (await waiting).json()["spooled"] == 990


async def test_second_server_on_data_directory_does_not_start(
    replica: Replica, environment: dict[str, str]
) -> None:
    second = Replica(environment)
    with pytest.raises(AssertionError):
        second.start()
    assert "Another server is using" in second.output()
    assert "Traceback" not in second.output()
    second.log.close()


async def test_acknowledged_events_survive_kill_of_both(
    tmp_path: Path,
) -> None:
    with Replica({"DATA_DIR": str(tmp_path / "data")}) as replica:
        sent = event()
        assert (await post(replica, sent)).json()["stored"] == 1
        replica.stop(signal.SIGKILL)
        replica.start()
        assert (await post(replica, sent)).json()["duplicates"] == 1


async def test_the_server_looks_after_its_postgresql(tmp_path: Path) -> None:
    with Replica({"DATA_DIR": str(tmp_path / "data")}) as replica:
        sent = event()
        assert (await post(replica, sent)).status_code == 202
        pid = (tmp_path / "data/postgres/data/postmaster.pid").read_text().splitlines()[0]
        os.kill(int(pid), signal.SIGKILL)

        async def stored_before() -> bool:
            answer = await post(replica, sent)
            return answer.status_code == 202 and bool(answer.json().get("duplicates") == 1)

        await eventually(stored_before)


async def test_stop_answers_pending_requests_and_closes_sockets(
    replica: Replica, postgres: Address
) -> None:
    async with replica.listen("?channels=progress:nobody") as dashboard:
        posts = [asyncio.create_task(post(replica, event())) for _ in range(50)]
        await asyncio.sleep(0.05)
        assert replica.process is not None
        replica.process.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*posts, return_exceptions=True)
        await dashboard.socket.wait_closed()
        assert dashboard.socket.close_code == 1012
    acknowledged = sum(
        isinstance(answer, httpx.Response) and answer.status_code == 202 for answer in answers
    )
    await asyncio.to_thread(replica.process.wait, 20)
    assert acknowledged <= (await row_counts(postgres))["executions"] <= 50


async def test_replicas_show_each_others_events_once_and_outlive_redis(
    environment: dict[str, str], redis_server: RedisServer, tmp_path: Path
) -> None:
    redis = {"REDIS_HOST": redis_server.host, "REDIS_PORT": str(redis_server.port)}
    with (
        Replica(environment | redis) as one,
        Replica(environment | redis | {"DATA_DIR": str(tmp_path / "other")}) as two,
    ):

        async def connected(state: str = "ok") -> bool:
            states = [(await health(each))[1]["redis"]["state"] for each in (one, two)]
            return states == [state] * 2

        async def degraded() -> bool:
            return await connected("degraded")

        await eventually(connected)
        async with one.listen() as near, two.listen() as far:
            sent = event()
            await post(one, sent)
            for dashboard in (near, far):
                assert (await dashboard.next())["data"]["eventId"] == sent["eventId"]
                assert await dashboard.silent()
            with Redis(host=redis_server.host, port=redis_server.port) as stranger:
                for noise in (
                    "nonsense",
                    '["batch","x",1,1,5]',
                    '["backfill_response","x",{},0,[5]]',
                ):
                    assert stranger.publish(CHANNEL, noise) == 2
            await post(one, sent := event())
            for dashboard in (near, far):
                assert (await dashboard.next())["data"]["eventId"] == sent["eventId"]
            redis_server.stop()
            await eventually(degraded)
            assert (await health(one))[0] == 200
            await post(one, missed := event())
            assert [(await near.next())["event"] for _ in "12"] == ["stale", "execution_update"]
            assert (await far.next())["event"] == "stale"
            assert await far.silent()
            redis_server.start()
            await eventually(connected)
            last = [await far.next(), await far.next()]
            assert last[0]["data"]["eventId"] == missed["eventId"]
            assert (last[1]["event"], last[1]["data"]) == ("resumed", {"recovered": True})
            assert (await near.next())["event"] == "resumed"
            await post(two, sent := event())
            for dashboard in (near, far):
                assert (await dashboard.next())["data"]["eventId"] == sent["eventId"]


async def test_influxdb_may_be_away_for_a_while(
    environment: dict[str, str], postgres: Address, influx_server: InfluxServer
) -> None:
    bucket = postgres["database"]
    settings = {"INFLUXDB_URL": influx_server.url, "INFLUXDB_BUCKET": bucket}
    with Replica(environment | settings) as replica:
        influx_server.stop()
        assert (await post(replica, event(), event())).status_code == 202

        async def degraded() -> bool:
            code, state = await health(replica)
            return code == 200 and bool(state["status"] == "degraded")

        async def written() -> bool:
            return len(await read_points(influx_server, bucket)) == 2

        await eventually(degraded)
        influx_server.start()
        await eventually(written, within=20)


async def test_custom_handlers_come_from_outside_the_package(
    environment: dict[str, str], postgres: Address, tmp_path: Path
) -> None:
    (tmp_path / "quiz.py").write_text(
        "from monitor import Handlers\n"
        "handlers = Handlers()\n"
        "@handlers.on('quiz_answered')\n"
        "async def quiz_answered(event, connection):\n"
        "    await connection.execute(\n"
        "        'CREATE TABLE answers AS SELECT $1::text AS by', event.student\n"
        "    )\n"
    )
    with Replica(environment | {"HANDLERS": "quiz", "PYTHONPATH": str(tmp_path)}) as replica:
        await post(replica, event(eventType="quiz_answered"))

        async def handled() -> bool:
            return bool(await fetch(postgres, "SELECT to_regclass('answers')::text AS name"))

        await eventually(handled)
    assert await fetch(postgres, "SELECT * FROM answers") == [{"by": "hanako"}]
    assert (await row_counts(postgres))["events"] == 1


async def test_invalid_setting_is_named_and_stops_the_start(tmp_path: Path) -> None:
    replica = Replica({"PORT": "8000", "DATA_DIR": str(tmp_path), "QUEUE_MAX_EVENTS": "none"})
    with pytest.raises(AssertionError):
        replica.start()
    assert "QUEUE_MAX_EVENTS" in replica.output()
    replica.log.close()


async def test_replicas_on_same_students_do_not_deadlock(
    environment: dict[str, str], postgres: Address, tmp_path: Path
) -> None:
    with (
        Replica(environment) as one,
        Replica(environment | {"DATA_DIR": str(tmp_path / "other")}) as two,
    ):

        async def send(replica: Replica, turn: int) -> int:
            order = range(500) if turn % 2 else range(499, -1, -1)
            answer = await post(replica, *(event(userId=f"s{number}") for number in order))
            return answer.status_code

        answers = await asyncio.gather(
            *(send(replica, turn) for turn in range(12) for replica in (one, two))
        )
    assert set(answers) == {202}
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert await fetch(postgres, deadlocks) == [{"deadlocks": 0}]
    totals = "SELECT sum(executions)::int AS counted FROM student_states"
    assert await fetch(postgres, totals) == [{"counted": 12_000}]
