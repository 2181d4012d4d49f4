"""Servers as hosts give them: by URL, with passwords and TLS, by Sentinels, behind a pooler."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from monitor.database.session import SESSION
from tests.support.events import event, post
from tests.support.postgres import Address, environment_of
from tests.support.replicas import RUN, Replica
from tests.support.secured import (
    PASSWORD,
    QUOTED,
    Certificates,
    GuardedInflux,
    PgBouncer,
    PlainRedis,
    SentinelServer,
    TlsPostgres,
    TlsRedis,
    tls_postgres,
)
from tests.support.servers import free_port
from tests.support.unreachable import dropping, refusing, silent
from tests.support.waiting import eventually

OTHER_PASSWORD, OTHER_QUOTED = "sentinels' own/1", "sentinels%27%20own%2F1"
SQL = f"""
CREATE ROLE monitor LOGIN PASSWORD '{PASSWORD}';
CREATE DATABASE school OWNER monitor;
CREATE DATABASE several OWNER monitor;
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def managed(certificates: Certificates) -> Iterator[TlsPostgres]:
    """A managed PostgreSQL: TLS, a password, and a role that only owns its databases."""
    with tls_postgres(certificates) as server:
        server.execute(SQL)
        yield server


def url_of(managed: TlsPostgres, authority: Path, database: str = "school", more: str = "") -> str:
    place = f"localhost:{managed.port}/{database}"
    return f"postgres://monitor:{QUOTED}@{place}?sslmode=verify-full&sslrootcert={authority}{more}"


def refusal(environment: dict[str, str], code: int = 1) -> str:
    """What a first start prints that ends by itself."""
    run = subprocess.run(RUN, env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr
    assert PASSWORD not in run.stderr
    assert QUOTED not in run.stderr
    return run.stderr


pytestmark = pytest.mark.needs("PostgreSQL with TLS")


async def test_a_managed_postgresql_is_reached_by_its_url(
    managed: TlsPostgres, certificates: Certificates, tmp_path: Path
) -> None:
    environment = {
        "DATABASE_URL": url_of(managed, certificates.authority),
        "DATA_DIR": str(tmp_path),
    }
    with Replica(environment) as replica:
        answer = await post(replica, event(), event())
        assert answer.json()["stored"] == 2
        assert QUOTED not in replica.output()
    managed.execute(
        "DO $$ BEGIN ASSERT (SELECT count(*) = 2 FROM cell_executions); END $$", "school"
    )


async def test_postgresql_is_named_by_its_parts(managed: TlsPostgres, tmp_path: Path) -> None:
    parts = {
        "POSTGRES_SERVER": "localhost",
        "POSTGRES_PORT": str(managed.port),
        "POSTGRES_USER": "monitor",
        "POSTGRES_PASSWORD": PASSWORD,
        "POSTGRES_DB": "school",
    }
    with Replica({**parts, "DATA_DIR": str(tmp_path)}) as replica:
        posted = event(userId="of the parts")
        assert (await post(replica, posted)).json()["stored"] == 1
    managed.execute(
        "DO $$ BEGIN ASSERT EXISTS (SELECT FROM students WHERE user_id = 'of the parts'); END $$",
        "school",
    )


async def test_another_schema_is_used_by_search_path(
    managed: TlsPostgres, certificates: Certificates, tmp_path: Path
) -> None:
    managed.execute("CREATE SCHEMA lessons AUTHORIZATION monitor", "several")
    url = url_of(managed, certificates.authority, "several", "&search_path=lessons")
    with Replica({"DATABASE_URL": url, "DATA_DIR": str(tmp_path)}) as replica:
        assert (await post(replica, event())).json()["stored"] == 1
    managed.execute(
        "DO $$ BEGIN ASSERT (SELECT count(*) = 1 FROM lessons.cell_executions); END $$", "several"
    )


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (("p%40ss", "wrong"), "check user and password in DATABASE_URL"),
        (("/school", "/lost"), "create it with CREATE DATABASE"),
        (("@localhost", f"@{'x' * 64}"), "check the host in DATABASE_URL"),  # asks no DNS
        (("@localhost", "@127.0.0.1"), "check sslmode and sslrootcert"),
        (("ca.pem", "other.pem"), "check sslmode and sslrootcert"),
        (("ca.pem", "none.pem"), "DATABASE_URL"),
        (("verify-full", "verify-fully"), "DATABASE_URL"),
    ],
)
def test_a_first_start_that_can_not_connect_says_what_to_change(
    managed: TlsPostgres,
    certificates: Certificates,
    tmp_path: Path,
    change: tuple[str, str],
    advice: str,
) -> None:
    url = url_of(managed, certificates.authority).replace(*change)
    assert advice in refusal({"DATABASE_URL": url, "DATA_DIR": str(tmp_path)})


each_nowhere = pytest.mark.parametrize("nowhere", [refusing, dropping, silent])


@each_nowhere
async def test_a_first_start_where_nothing_answers_waits_and_says_what_to_check(
    environment: dict[str, str], nowhere: Callable[[], AbstractContextManager[int]]
) -> None:
    """PostgreSQL may be started a little later: that is no reason to end."""
    with nowhere() as port:
        there = {"POSTGRES_SERVER": "127.0.0.1", "POSTGRES_PORT": str(port)}
        with Replica(environment | there) as replica:
            assert (await post(replica, event())).json()["spooled"] == 1
            assert "start it, or check host and port in DATABASE_URL" in replica.output()


@each_nowhere
async def test_a_redis_that_does_not_answer_is_to_be_started_or_named_otherwise(
    environment: dict[str, str], nowhere: Callable[[], AbstractContextManager[int]]
) -> None:
    with nowhere() as port:
        there = {"REDIS_URL": f"redis://127.0.0.1:{port}/0"}
        await says("start it, or check host and port in REDIS_URL", environment | there)


@pytest.mark.needs("Debian's redis")
@pytest.mark.parametrize(
    ("login", "port", "words"),
    [
        (":wrong@", None, "check user and password in REDIS_URL"),
        ("", None, "check user and password in REDIS_URL"),
        (f":{QUOTED}@", 1, "start it, or check host and port in REDIS_URL"),
    ],
)
async def test_a_redis_that_can_not_be_used_says_what_to_check(
    environment: dict[str, str], tmp_path: Path, login: str, port: int | None, words: str
) -> None:
    (tmp_path / "redis").mkdir()
    with PlainRedis(tmp_path / "redis") as redis:
        url = f"redis://{login}127.0.0.1:{port or redis.port}/0"
        with Replica(environment | {"REDIS_URL": url}) as replica:
            await eventually(replica.output, lambda text: words in text)
            async with httpx.AsyncClient() as client:
                health = (await client.get(f"{replica.url}/health")).json()
            assert words in health["redis"]["error"]
            assert QUOTED not in replica.output()


async def test_a_later_start_waits_for_what_was_there_before(
    managed: TlsPostgres, certificates: Certificates, tmp_path: Path
) -> None:
    environment = {
        "DATABASE_URL": url_of(managed, certificates.authority),
        "DATA_DIR": str(tmp_path),
    }
    with Replica(environment) as replica:
        replica.stop()
        managed.execute("ALTER ROLE monitor NOLOGIN")
        try:
            replica.start()
            assert (await post(replica, event())).json()["spooled"] == 1
        finally:
            managed.execute("ALTER ROLE monitor LOGIN")


@pytest.mark.needs("pgbouncer")
@pytest.mark.parametrize("pool_mode", ["transaction", "session"])
@pytest.mark.parametrize("ignored", ["", ",".join(SESSION)])
def test_a_pooler_that_loses_the_settings_of_sessions_is_refused(
    managed: TlsPostgres, tmp_path: Path, pool_mode: str, ignored: str
) -> None:
    (tmp_path / "pgbouncer").mkdir()
    settings = {"pool_mode": pool_mode, "ignore_startup_parameters": ignored}
    address = managed.address("monitor", "school")
    with PgBouncer(tmp_path / "pgbouncer", address, **settings) as pooler:
        url = f"postgres://monitor@127.0.0.1:{pooler.port}/school"
        environment = {"DATABASE_URL": url, "DATA_DIR": str(tmp_path / "data")}
        assert "connect to PostgreSQL itself" in refusal(environment)


@pytest.mark.needs("Debian's redis")
async def test_replicas_meet_at_a_redis_with_tls_and_a_password(
    certificates: Certificates, postgres: Address, tmp_path: Path
) -> None:
    (tmp_path / "redis").mkdir()
    with TlsRedis(tmp_path / "redis", certificates) as redis:
        url = f"rediss://monitor:{QUOTED}@localhost:{redis.port}/0"
        await meet(f"{url}?ssl_ca_certs={certificates.authority}", postgres, tmp_path)


@pytest.mark.needs("Debian's redis")
async def test_replicas_meet_at_a_redis_on_a_unix_socket(postgres: Address, tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with PlainRedis(tmp_path / "redis"):
        await meet(f"unix://:{QUOTED}@{tmp_path}/redis/redis.sock", postgres, tmp_path)


@pytest.mark.needs("influxdb")
async def test_influxdb_takes_a_user_and_a_password(postgres: Address, tmp_path: Path) -> None:
    (tmp_path / "influx").mkdir()
    with GuardedInflux(tmp_path / "influx") as influx:
        async with httpx.AsyncClient(base_url=influx.url, timeout=15) as api:
            make = f"CREATE USER monitor WITH PASSWORD '{PASSWORD}' WITH ALL PRIVILEGES"
            assert (await api.post("/query", params={"q": make})).status_code == 200

            async def count() -> int:
                query = {"db": "progress_bucket", "q": "SELECT * FROM student_progress"}
                answer = await api.get("/query", params=query, auth=("monitor", PASSWORD))
                series = answer.json()["results"][0].get("series", [{"values": []}])
                return len(series[0]["values"])

            url = influx.url.replace("//", f"//monitor:{QUOTED}@")
            environment = environment_of(postgres, tmp_path / "data") | {"INFLUXDB_URL": url}
            with Replica(environment) as replica:
                await post(replica, event(), event())
                await eventually(count, lambda points: points == 2)
                assert QUOTED not in replica.output()


async def meet(redis_url: str, postgres: Address, directory: Path) -> None:
    """Two replicas see each other's events."""
    environments = [
        environment_of(postgres, directory / name) | {"REDIS_URL": redis_url} for name in "ab"
    ]
    with Replica(environments[0]) as one, Replica(environments[1]) as other:
        async with other.listen("?channels=progress:*") as listener:
            posted = event()
            await post(one, posted)
            message = await listener.next()
            assert message["data"]["eventId"] == posted["eventId"]
        assert QUOTED not in one.output()


@pytest.mark.needs("Debian's redis")
async def test_replicas_follow_a_master_that_sentinels_elect(
    postgres: Address, tmp_path: Path
) -> None:
    for name in ("master", "replica", "sentinel"):
        (tmp_path / name).mkdir()
    with (
        PlainRedis(tmp_path / "master") as master,
        PlainRedis(tmp_path / "replica", master.port),
        SentinelServer(tmp_path / "sentinel", master.port) as sentinel,
    ):
        url = f"redis+sentinel://:{QUOTED}@localhost:{sentinel.port}/0?master=school"
        environments = [
            environment_of(postgres, tmp_path / name) | {"REDIS_URL": url} for name in "ab"
        ]
        with Replica(environments[0]) as one, Replica(environments[1]) as other:
            await meets(one, other)
            master.kill()
            await eventually(lambda: meets(one, other), within=60)


@pytest.mark.needs("Debian's redis")
async def test_sentinels_have_a_password_of_their_own_and_the_first_may_be_away(
    postgres: Address, tmp_path: Path
) -> None:
    for name in ("master", "sentinel"):
        (tmp_path / name).mkdir()
    with (
        PlainRedis(tmp_path / "master") as master,
        SentinelServer(tmp_path / "sentinel", master.port, password=OTHER_PASSWORD) as sentinel,
    ):
        hosts = f"localhost:{free_port()},localhost:{sentinel.port}"
        url = f"redis+sentinel://:{QUOTED}@{hosts}/0?master=school"
        await meet(f"{url}&sentinel_password={OTHER_QUOTED}", postgres, tmp_path)
        for wrong in (url, f"{url}&sentinel_password=wrong"):
            said = "No master found for 'school': check sentinel_password in REDIS_URL\""
            await says(said, environment_of(postgres, tmp_path / "c") | {"REDIS_URL": wrong})
        unknown = f"{url}&sentinel_password={OTHER_QUOTED}".replace("=school", "=none")
        said = "No master found for 'none': look whether a Sentinel"
        await says(said, environment_of(postgres, tmp_path / "c") | {"REDIS_URL": unknown})


async def says(words: str, environment: dict[str, str]) -> None:
    with Replica(environment) as replica:
        await eventually(replica.output, lambda text: words in text)


@pytest.mark.needs("Debian's redis")
async def test_a_master_that_sentinels_name_is_reached_by_tls(
    certificates: Certificates, postgres: Address, tmp_path: Path
) -> None:
    for name in ("master", "sentinel"):
        (tmp_path / name).mkdir()
    with (
        TlsRedis(tmp_path / "master", certificates) as master,
        SentinelServer(tmp_path / "sentinel", master.port, certificates=certificates) as sentinel,
    ):
        url = f"rediss+sentinel://monitor:{QUOTED}@localhost:{sentinel.port}/0?master=school"
        await meet(f"{url}&ssl_ca_certs={certificates.authority}", postgres, tmp_path)


async def meets(one: Replica, other: Replica) -> bool:
    """Whether an event of one is seen at the other."""
    async with other.listen("?channels=progress:*") as listener:
        posted = event()
        await post(one, posted)
        try:
            while True:
                message = await listener.next(3)
                if message["event"] == "execution_update":
                    return bool(message["data"]["eventId"] == posted["eventId"])
        except TimeoutError:
            return False
