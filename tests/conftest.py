"""Real servers for the tests: each is started once, and each test gets a database of its own."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from functools import partial
from pathlib import Path

import asyncpg
import httpx
import hypothesis
import pytest

from monitor.database.embedded.server import EmbeddedPostgres
from monitor.database.migrations import Schema
from monitor.database.pool import Database, close_pool, open_pool
from tests.support.fixtures import replica_fixture
from tests.support.paths import CAPTURED
from tests.support.postgres import (
    Address,
    address_from_url,
    address_of,
    environment_of,
    temporary_database,
)
from tests.support.replicas import Replica
from tests.support.servers import InfluxServer, RedisServer
from tests.support.tokens import SECRET

pytest_plugins = ["tests.support.left_out"]

# Tests assert behaviour, benchmarks measure: two modules run at a time.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# No test speaks TLS, but each client of httpx would read all authorities: 30 ms of CPU.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = os.devnull


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escapes half surrogates in what was logged: a worker couldn't send the report."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Gives root's tests a directory that no other run closes: see `tmp_path_factory`."""
    if os.geteuid() == 0 and config.option.basetemp is None:
        directory = tempfile.mkdtemp(prefix="pytest-")
        config.option.basetemp = directory
        config.add_cleanup(partial(shutil.rmtree, directory, ignore_errors=True))


@pytest.fixture(scope="session")
def tmp_path_factory(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[pytest.TempPathFactory]:
    """Root runs PostgreSQL as another user, who has to reach the directories of the tests."""
    make = tmp_path_factory.mktemp

    def make_reachable(basename: str, numbered: bool = True) -> Path:
        directory = make(basename, numbered)
        for path in (directory, *directory.parents):
            if path.stat().st_mode & 0o777 == 0o700:
                path.chmod(0o711)
        return directory

    with pytest.MonkeyPatch.context() as patch:
        if os.geteuid() == 0:
            patch.setattr(tmp_path_factory, "mktemp", make_reachable)
        yield tmp_path_factory


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """The PostgreSQL that TEST_POSTGRES names as a URL, or the embedded one."""
    if url := os.environ.get("TEST_POSTGRES"):
        yield address_from_url(url)
        return
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres")) as server:
        yield address_of(server)


@pytest.fixture
async def postgres(postgres_server: Address) -> AsyncIterator[Address]:
    """An empty database."""
    async with temporary_database(postgres_server) as address:
        yield address


@pytest.fixture
async def pool(postgres: Address) -> AsyncIterator[asyncpg.Pool]:
    """Connections to a database with the schema."""
    pool = await open_pool(postgres, 5, 5.0)
    await Schema(pool).ensure()
    yield pool
    await close_pool(pool, 5.0)


@pytest.fixture
async def database(pool: asyncpg.Pool, postgres: Address) -> AsyncIterator[Database]:
    """The API's connections to it."""
    database = Database(postgres, 5, 5.0)
    await database.open()
    yield database
    await database.close(5.0)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def influx_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    with InfluxServer(tmp_path_factory.mktemp("influx")) as server:
        yield server


@pytest.fixture
def environment(postgres: Address, tmp_path: Path) -> dict[str, str]:
    """The settings of a replica with a database of its own."""
    return environment_of(postgres, tmp_path / "data")


@pytest.fixture
def replica(environment: dict[str, str]) -> Iterator[Replica]:
    with Replica(environment) as replica:
        yield replica


# For tests that leave nothing behind.
shared_replica = replica_fixture("session")
# For tests of classes and all that belongs to them, each with names of its own.
school = replica_fixture("session")
# The same, with credentials: `tests.support.tokens` has tokens.
guarded_school = replica_fixture("session", JWT_SECRET=SECRET, TEST_EVENTS="on")


@pytest.fixture
async def api(school: Replica) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{school.url}/api/v1", timeout=15) as client:
        yield client


@pytest.fixture(scope="session")
def captured() -> list[str]:
    """Eight request bodies as the real extension sent them from a JupyterLab 4.6."""
    return CAPTURED.read_text().splitlines()
