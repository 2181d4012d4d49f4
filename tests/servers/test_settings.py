"""Settings that no other test gives a server: each does what its row in the tables says.

`tests/settings.toml` names the test of every setting, and `make settings` runs each without it.
"""

import asyncio
import json
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest

from monitor.database.embedded.server import EmbeddedPostgres
from tests.servers.test_notifications import looked
from tests.support.events import event, post
from tests.support.openid import run_openid
from tests.support.postgres import Address, address_of, environment_of, fetch
from tests.support.provider import run_provider
from tests.support.receivers import receiving
from tests.support.replicas import Replica
from tests.support.tokens import SECRET, client, token
from tests.support.waiting import eventually


async def test_name_version_and_prefix_are_those_of_the_settings(
    environment: dict[str, str],
) -> None:
    named = {
        "PROJECT_NAME": "Lessons",
        "PROJECT_VERSION": "9.8.7",
        "API_V1_STR": "/lessons/v2",
    }
    with Replica(environment | named) as replica:
        async with httpx.AsyncClient(base_url=replica.url) as api:
            health = (await api.get("/health")).json()
            assert (await api.post("/lessons/v2/events", json=[event()])).status_code == 202
            assert (await api.post("/api/v1/events", json=[event()])).status_code == 404
    assert (health["project"], health["version"]) == ("Lessons", "9.8.7")
    assert (Path(environment["DATA_DIR"]) / "postgres-was-reached").exists()


async def test_a_standby_is_named_by_a_url(environment: dict[str, str]) -> None:
    away = {"DATABASE_READ_URL": "postgres://monitor:secret@127.0.0.1:1/school"}
    with Replica(environment | away) as replica:
        async with httpx.AsyncClient(base_url=replica.url) as api:
            standby = (await api.get("/health")).json()["standby"]
            assert (await api.get("/api/v1/classes")).json() == []  # of the primary
    assert standby["state"] == "degraded"


async def test_points_go_to_the_organisation_and_bucket_with_the_token(
    environment: dict[str, str],
) -> None:
    """An InfluxDB 2 in the little that a write needs: Debian has none."""
    heads: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = int(head.lower().partition("content-length:")[2].partition("\r\n")[0] or 0)
        await reader.readexactly(size)
        heads.append(head)
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        influx = {
            "INFLUXDB_URL": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
            "INFLUXDB_TOKEN": "token-of-the-tests",
            "INFLUXDB_ORG": "school-7",
            "INFLUXDB_BUCKET": "lessons",
        }
        with Replica(environment | influx) as replica:
            await asyncio.to_thread(httpx.post, replica.events_url, json=[event()])

            def writes() -> list[str]:
                return [head for head in heads if head.startswith("POST /api/v2/write?")]

            (head, *_) = await eventually(writes)
            await asyncio.to_thread(replica.stop)
    query = parse_qs(urlsplit(head.split()[1]).query)
    assert (query["org"], query["bucket"]) == (["school-7"], ["lessons"])
    assert "Authorization: Token token-of-the-tests\r\n" in head


async def test_who_teaches_at_the_hub_is_in_the_group_of_the_setting(
    environment: dict[str, str],
) -> None:
    with run_provider() as provider:
        settings = {
            "JUPYTERHUB_API_URL": f"{provider.url}/hub/api",
            "JUPYTERHUB_INSTRUCTORS": "1-A",
        }
        with Replica(environment | settings) as replica:
            for text, status in (("hub-student", 200), ("hub-teacher", 403)):  # of 1-A, and not
                async with client(replica.url, text) as api:
                    assert (await api.get("/ingest-keys")).status_code == status


async def test_the_provider_is_asked_for_these_scopes(environment: dict[str, str]) -> None:
    with run_openid() as provider:
        settings = {**provider.settings, "OIDC_SCOPES": "openid email offline_access"}
        with Replica(environment | settings) as replica:
            query = await asked_at_sign_in(replica)
    assert query["scope"] == ["openid email offline_access"]


async def asked_at_sign_in(replica: Replica) -> dict[str, list[str]]:
    """The query of the address that a sign-in leads to; `to` is the address itself."""
    async with httpx.AsyncClient(base_url=replica.url) as browser:
        url = urlsplit((await browser.get("/login")).headers["Location"])
    return {**parse_qs(url.query), "to": [url._replace(query="").geturl()]}


async def test_a_service_of_a_hub_signs_in_at_the_hubs_own_address(
    environment: dict[str, str],
) -> None:
    service = {
        "JUPYTERHUB_API_URL": "http://127.0.0.1:9/base/hub/api",
        "JUPYTERHUB_API_TOKEN": "token-of-the-service",
        "JUPYTERHUB_SERVICE_NAME": "monitor",
        "JUPYTERHUB_SERVICE_PREFIX": "/base/services/monitor/",
        "JUPYTERHUB_CLIENT_ID": "service-monitor",
        "JUPYTERHUB_OAUTH_CALLBACK_URL": "/base/services/monitor/oauth_callback",
        "JUPYTERHUB_BASE_URL": "/base/",
        "JUPYTERHUB_HOST": "https://hub.school.example",
    }
    with Replica(environment | service) as replica:
        query = await asked_at_sign_in(replica)
        async with httpx.AsyncClient(base_url=replica.url) as browser:
            assert (await browser.get("/base/services/monitor/health/live")).status_code == 200
    assert query["to"] == ["https://hub.school.example/base/hub/api/oauth2/authorize"]
    assert query["client_id"] == ["service-monitor"]
    assert query["redirect_uri"] == ["/base/services/monitor/oauth_callback"]


UNWELL = {  # Redis is away
    "REDIS_HOST": "127.0.0.1",
    "REDIS_PORT": "1",
    "NOTIFY_HEALTH_SECONDS": "0.1",
}


async def test_operators_get_the_kinds_that_they_want(
    environment: dict[str, str], postgres: Address
) -> None:
    async with receiving() as receiver:
        settings = {**UNWELL, "NOTIFY_URLS": receiver.url, "NOTIFY_KINDS": "quota, key_abuse"}
        with Replica(environment | settings):
            await looked(postgres)
            await looked(postgres)
        assert receiver.titles() == []


@pytest.mark.parametrize("hours", [3, -3])
async def test_operators_are_left_alone_in_their_quiet_hours(
    environment: dict[str, str], postgres: Address, hours: int
) -> None:
    """An hour around the present of a place that is nine hours ahead; or another hour."""
    away = timedelta(hours=9)
    now = datetime.now(UTC) + away + timedelta(hours=0 if hours > 0 else hours)
    span = [(now + timedelta(minutes=minutes)).strftime("%H:%M") for minutes in (-30, 30)]
    async with receiving() as receiver:
        settings = {
            **UNWELL,
            "NOTIFY_URLS": receiver.url,
            "NOTIFY_QUIET_HOURS": "-".join(span),
            "NOTIFY_TIME_ZONE": "Asia/Tokyo",
        }
        with Replica(environment | settings):
            if hours > 0:
                await looked(postgres)
                await looked(postgres)
                assert receiver.titles() == []
            else:
                await eventually(receiver.titles, within=40.0)


async def test_a_batch_waits_so_long_for_more(environment: dict[str, str]) -> None:
    with Replica(environment | {"BATCH_LINGER": "2.5"}) as replica:
        assert (await post(replica, event(), event())).status_code == 202
        began = time.monotonic()
        assert (await post(replica, event(), event())).json()["stored"] == 2
        assert time.monotonic() - began > 2


async def test_a_batch_has_so_many_events(environment: dict[str, str]) -> None:
    together = {"BATCH_LINGER": "1", "BATCH_MAX_EVENTS": "2", "LOG_LEVEL": "DEBUG"}
    with Replica(environment | together) as replica:
        await asyncio.gather(*(post(replica, event(), event()) for _ in range(3)))
        lines = replica.output().splitlines()
    assert len([line for line in lines if "Stored 1 requests in" in line]) == 3


@asynccontextmanager
async def blocked(postgres: Address) -> AsyncIterator[None]:
    """While a table of events is locked, and nothing can be stored."""
    connection = await asyncpg.connect(**postgres)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE events, cell_executions")
            yield
    finally:
        await connection.close()


async def test_what_is_not_stored_in_time_is_spooled(
    environment: dict[str, str], postgres: Address
) -> None:
    with Replica(environment | {"STORE_TIMEOUT": "9"}) as replica:
        assert (await post(replica, event())).status_code == 202
        began = time.monotonic()
        async with blocked(postgres):
            waiting = asyncio.create_task(post(replica, event()))
            await asyncio.sleep(7.5)  # the default is 3 s
            assert not waiting.done()
        assert (await waiting).json()["stored"] == 1
        assert time.monotonic() - began < 20


async def test_a_queue_that_holds_too_many_bytes_refuses(
    environment: dict[str, str], postgres: Address
) -> None:
    narrow = {"MAX_REQUEST_BYTES": "20000", "QUEUE_MAX_BYTES": "30000"}
    with Replica(environment | narrow) as replica:
        large = [event(code="x" * 900) for _ in range(14)]
        assert (await post(replica, *large, *large)).status_code == 413
        async with blocked(postgres):
            waiting = asyncio.create_task(post(replica, *large))
            await asyncio.sleep(0.5)
            refused = await post(replica, *large)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert (await waiting).status_code == 202


async def test_a_request_has_at_most_so_many_events(environment: dict[str, str]) -> None:
    with Replica(environment | {"MAX_REQUEST_EVENTS": "2"}) as replica:
        assert (await post(replica, event(), event())).status_code == 202
        assert (await post(replica, event(), event(), event())).status_code == 413


async def test_a_stop_waits_so_long_for_open_requests(environment: dict[str, str]) -> None:
    with Replica(environment | {"STOP_TIMEOUT": "1"}) as replica:
        with socket.create_connection(("127.0.0.1", replica.port)) as unfinished:
            unfinished.sendall(
                b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n["
            )
            await asyncio.sleep(0.3)
            began = time.monotonic()
            await asyncio.to_thread(replica.stop, signal.SIGTERM)
        assert time.monotonic() - began < 7  # the default is 10 s


async def test_a_full_spool_refuses_what_it_can_not_keep(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        environment = environment_of(address_of(postgres), tmp_path / "data")
        with Replica(environment | {"SPOOL_MAX_BYTES": "200000"}) as replica:
            postgres.stop()
            large = [event(code="x" * 10_000) for _ in range(10)]
            statuses = [(await post(replica, *large)).status_code for _ in range(6)]
            assert statuses[0] == 202
            assert statuses[-1] == 503
            postgres.start()


async def test_rejected_events_are_kept_for_so_many_days(
    environment: dict[str, str], postgres: Address
) -> None:
    with Replica(environment) as replica:
        await post(replica, {"userId": "no type"}, {"userId": "no type either"})
    await fetch(
        postgres,
        "UPDATE rejected_events SET received_at = now() - interval '3 days'"
        " WHERE id = (SELECT min(id) FROM rejected_events)",
    )
    with Replica(environment | {"REJECTED_MAX_DAYS": "2"}):

        async def left() -> int:
            (row,) = await fetch(postgres, "SELECT count(*) FROM rejected_events")
            return int(row["count"])

        await eventually(left, lambda count: count == 1)


async def test_an_open_server_listens_elsewhere_only_if_that_is_allowed(
    environment: dict[str, str],
) -> None:
    with Replica(environment | {"HOST": "0.0.0.0", "ALLOW_UNAUTHENTICATED": "yes"}) as replica:
        assert (await post(replica, event())).status_code == 202


async def test_a_secret_asks_for_credentials_and_signs_them(environment: dict[str, str]) -> None:
    with Replica(environment | {"JWT_SECRET": SECRET}) as replica:
        for text, status in ((None, 401), (token("root", "admin"), 200)):
            async with client(replica.url, text) as api:
                assert (await api.get("/audit")).status_code == status


async def test_a_share_of_the_requests_is_logged(environment: dict[str, str]) -> None:
    with Replica(environment | {"LOG_REQUESTS": "1"}) as replica:
        async with httpx.AsyncClient(base_url=replica.url) as api:
            for _ in range(5):
                await api.get("/health/ready")
        lines = await eventually(
            lambda: [each for each in replica.output().splitlines() if "/health/ready" in each],
            lambda lines: len(lines) == 5,
        )
    assert json.loads(lines[0])["http"]["response"]["status_code"] == 200
