"""Real servers for the tests: each is started once, and each test gets a database of its own."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
import httpx
import pytest

from monitor.database.embedded.server import EmbeddedPostgres
from monitor.database.migrations import Schema
from monitor.database.pool import Database, close_pool, open_pool
from tests.support.embedded import ask
from tests.support.replicas import Replica
from tests.support.servers import InfluxServer, RedisServer
from tests.support.tokens import SECRET

# No test speaks TLS, but each client of httpx would read all authorities: 30 ms of CPU.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = os.devnull

CAPTURED = Path(__file__).parent / "captured.jsonl"
_numbers = count(1)

Address = dict[str, Any]


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """The PostgreSQL that TEST_POSTGRES names as a URL, or the embedded one."""
    if url := os.environ.get("TEST_POSTGRES"):
        parts = urlsplit(url)
        yield {
            "host": parts.hostname,
            "port": parts.port or 5432,
            "user": unquote(parts.username or "postgres"),
            "password": unquote(parts.password or "") or None,
            "database": parts.path.lstrip("/") or "postgres",
        }
        return
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres")) as server:
        yield {
            "host": server.host,
            "port": server.port,
            "user": server.user,
            "password": None,
            "database": server.database,
        }


@pytest.fixture(scope="session")
def postgres_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of an embedded PostgreSQL, for every test that leaves it whole."""
    directory = tmp_path_factory.mktemp("embedded") / "postgres"
    with EmbeddedPostgres(directory) as postgres:
        asyncio.run(ask(postgres.host, "CREATE TABLE words (word text)"))
    return directory


@pytest.fixture
def copied_directory(postgres_directory: Path, tmp_path: Path) -> Path:
    """One to crash in, made by copying because initdb takes longer."""
    shutil.copytree(postgres_directory / "data", tmp_path / "postgres" / "data")
    return tmp_path / "postgres"


@pytest.fixture
def open_directory(postgres_directory: Path) -> Iterator[Path]:
    """One that every user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        shutil.copytree(postgres_directory / "data", Path(place) / "postgres" / "data")
        yield Path(place) / "postgres"


@asynccontextmanager
async def database(server: Address) -> AsyncIterator[Address]:
    """An empty database of that server."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    connection = await asyncpg.connect(**server)
    await connection.execute(f"CREATE DATABASE {name}")
    try:
        yield {**server, "database": name}
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


@pytest.fixture
async def postgres(postgres_server: Address) -> AsyncIterator[Address]:
    async with database(postgres_server) as address:
        yield address


@pytest.fixture
async def pool(postgres: Address) -> AsyncIterator[asyncpg.Pool]:
    """Connections to a database with the schema."""
    pool = await open_pool(postgres, 5, 5.0)
    await Schema(pool).ensure()
    yield pool
    await close_pool(pool, 5.0)


@pytest.fixture(name="database")
async def api_database(pool: asyncpg.Pool, postgres: Address) -> AsyncIterator[Database]:
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


def environment_of(postgres: Address, data_dir: Path) -> dict[str, str]:
    """What a replica needs to know to use the database."""
    return {
        "POSTGRES_SERVER": postgres["host"],
        "POSTGRES_PORT": str(postgres["port"]),
        "POSTGRES_USER": postgres["user"],
        "POSTGRES_PASSWORD": postgres["password"] or "",
        "POSTGRES_DB": postgres["database"],
        "DATA_DIR": str(data_dir),
    }


@pytest.fixture
def environment(postgres: Address, tmp_path: Path) -> dict[str, str]:
    return environment_of(postgres, tmp_path / "data")


@pytest.fixture
def replica(environment: dict[str, str]) -> Iterator[Replica]:
    with Replica(environment) as replica:
        yield replica


@pytest.fixture(scope="session")
async def shared_replica(
    postgres_server: Address, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Replica]:
    """For tests that leave nothing behind."""
    async with database(postgres_server) as address:
        with Replica(environment_of(address, tmp_path_factory.mktemp("shared"))) as replica:
            yield replica


@pytest.fixture(scope="session")
async def school(
    postgres_server: Address, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Replica]:
    """For tests of classes and all that belongs to them, each with names of its own."""
    async with database(postgres_server) as address:
        with Replica(environment_of(address, tmp_path_factory.mktemp("school"))) as replica:
            yield replica


@pytest.fixture(scope="session")
async def guarded_school(
    postgres_server: Address, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Replica]:
    """The same, with credentials: `tests.people` has tokens."""
    async with database(postgres_server) as address:
        environment = environment_of(address, tmp_path_factory.mktemp("guarded"))
        secured = {"JWT_SECRET": SECRET, "TEST_EVENTS": "on"}
        with Replica({**environment, **secured}) as replica:
            yield replica


@pytest.fixture
async def api(school: Replica) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{school.url}/api/v1", timeout=15) as client:
        yield client


@pytest.fixture(scope="session")
def captured() -> list[str]:
    """Eight request bodies as the real extension sent them from a JupyterLab 4.6."""
    return CAPTURED.read_text().splitlines()
