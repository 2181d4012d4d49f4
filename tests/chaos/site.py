"""A school's servers: two replicas, and a PostgreSQL, an InfluxDB and a Redis of their own."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil

from monitor.database.embedded.server import EmbeddedPostgres
from tests.chaos.lesson import Lesson
from tests.chaos.network import Network
from tests.chaos.proxy import InfluxProxy
from tests.support.replicas import Replica
from tests.support.servers import InfluxServer, RedisServer

BUCKET = "chaos"
SPOOL_DISK = 128  # MB
EMBEDDED_DISK = 400  # MB
SOCKET_LINE = 4  # of postmaster.pid, counted from 0
# Few connections, so that it costs little to use them up.
POSTGRES_SETTINGS = {"max_connections": "40", "superuser_reserved_connections": "3"}


class Site:
    """The servers that a fault may harm."""

    def __init__(self, directory: Path, postgres: EmbeddedPostgres, redis: RedisServer) -> None:
        self.directory = directory
        self.postgres = postgres
        self.redis = redis
        self.influx: InfluxServer
        self.proxy: InfluxProxy
        self.network: Network
        self.replicas: list[Replica] = []
        self.lesson: Lesson  # the present one
        self._numbers = count(1)

    def new_directory(self, name: str) -> Path:
        """One below the site's, of a name that was not used before."""
        return _create(self.directory / f"{name}-{next(self._numbers)}")

    def replace_postgres(self, postgres: EmbeddedPostgres) -> None:
        """From now on the servers' connections lead to this PostgreSQL, which is running."""
        self.postgres = postgres
        self.network.target = socket_of(postgres)

    @property
    def urls(self) -> list[str]:
        return [replica.events_url for replica in self.replicas]

    def environment(self, data_dir: Path) -> dict[str, str]:
        return {
            "POSTGRES_SERVER": "127.0.0.1",
            "POSTGRES_PORT": str(self.network.port),
            "DATA_DIR": str(data_dir),
            "INFLUXDB_URL": self.proxy.url,
            "INFLUXDB_BUCKET": BUCKET,
            "REDIS_HOST": self.redis.host,
            "REDIS_PORT": str(self.redis.port),
            "STOP_TIMEOUT": "2",
        }

    @property
    def socket_directory(self) -> str:
        return self.postgres.host

    async def connect(self, **options: Any) -> asyncpg.Connection:
        server = self.postgres
        return await asyncpg.connect(
            host=self.socket_directory, user=server.user, database=server.database, **options
        )

    async def execute(self, *statements: str) -> None:
        connection = await self.connect(server_settings={"statement_timeout": "0"})
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    def postgres_processes(self) -> list[psutil.Process]:
        """The postmaster first."""
        pid = int((self.postgres.data / "postmaster.pid").read_text().split()[0])
        head = psutil.Process(pid)
        return [head, *head.children()]

    async def kill_postgres(self) -> None:
        head = self.postgres_processes()[0]
        head.send_signal(signal.SIGKILL)
        while head.is_running() and head.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def start_postgres(self) -> None:
        await asyncio.to_thread(self.postgres.ensure_running)

    def data_dir(self, replica: Replica) -> Path:
        return Path(replica.environment["DATA_DIR"])

    async def stop(self, replica: Replica, signum: int = signal.SIGTERM) -> None:
        await asyncio.to_thread(replica.stop, signum)

    async def start(self, replica: Replica, **settings: str) -> None:
        replica.environment |= settings
        await asyncio.to_thread(replica.start)

    async def restore(self) -> None:
        """Starts and repairs everything, whatever has happened."""
        await self._restore_postgres()
        self.proxy.delay, self.proxy.failing, self.proxy.refusing = 0, False, False
        await asyncio.to_thread(self.influx.start)
        await asyncio.to_thread(self.redis.start)
        for replica in self.replicas:
            (self.data_dir(replica) / "filler").unlink(missing_ok=True)
            if replica.process is None:
                await self.start(replica)

    async def _restore_postgres(self) -> None:
        for process in self.postgres_processes():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
        await self.start_postgres()
        self.network.dropping = False

    async def states(self) -> list[dict[str, Any]]:
        """The health of each replica."""
        return [await self.health(replica) for replica in self.replicas]

    async def health(self, replica: Replica) -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=10) as client:
            health: dict[str, Any] = (await client.get(f"{replica.url}/health")).json()
            return health


class EmbeddedSite(Site):
    """One server, with a PostgreSQL of its own, whose socket is elsewhere: the path is long."""

    def environment(self, data_dir: Path) -> dict[str, str]:
        environment = super().environment(data_dir)
        kept = {name: value for name, value in environment.items() if "POSTGRES" not in name}
        return kept | {"TMPDIR": str(self.directory / "sockets")}

    @property
    def socket_directory(self) -> str:
        return (self.postgres.data / "postmaster.pid").read_text().splitlines()[SOCKET_LINE]

    async def _restore_postgres(self) -> None:
        """The server does that."""


@asynccontextmanager
async def embedded_site() -> AsyncIterator[EmbeddedSite]:
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(temporary_directory("chaos-"))
        _create(directory / "sockets").chmod(0o711)
        data_dir = _create(directory / "-".join(["a-long-name"] * 9))
        if can_mount():
            mount(data_dir, EMBEDDED_DISK)
            stack.callback(unmount, data_dir)
        redis = stack.enter_context(RedisServer(_create(directory / "redis")))
        here = EmbeddedSite(directory, EmbeddedPostgres(data_dir / "postgres"), redis)
        here.network = Network("")  # none
        await _add_influx(here, stack)
        await _add_replica(here, stack, data_dir)
        yield here


async def _add_influx(here: Site, stack: AsyncExitStack) -> None:
    here.influx = stack.enter_context(InfluxServer(_create(here.directory / "influx")))
    here.proxy = await stack.enter_async_context(InfluxProxy(here.influx.url))


async def _add_replica(here: Site, stack: AsyncExitStack, data_dir: Path) -> None:
    replica = Replica(here.environment(data_dir))
    here.replicas.append(replica)
    stack.callback(replica.log.close)
    stack.push_async_callback(here.stop, replica)
    await here.start(replica)


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(temporary_directory("chaos-"))
        postgres = stack.enter_context(EmbeddedPostgres(directory / "postgres", watchdog=True))
        stack.callback(lambda: here.postgres.stop())
        redis = stack.enter_context(RedisServer(_create(directory / "redis")))
        here = Site(directory, postgres, redis)
        await _add_influx(here, stack)
        here.network = await stack.enter_async_context(Network(socket_of(postgres)))
        await here.execute(
            *(f"ALTER SYSTEM SET {name} = {value}" for name, value in POSTGRES_SETTINGS.items())
        )
        postgres.stop()
        postgres.start()
        for name in ("one", "two"):
            data_dir = _create(directory / name)
            if can_mount():
                mount(data_dir, SPOOL_DISK)
                stack.callback(unmount, data_dir)
            await _add_replica(here, stack, data_dir)
        yield here


def socket_of(postgres: EmbeddedPostgres) -> str:
    """The path of its Unix socket."""
    return f"{postgres.host}/.s.PGSQL.{postgres.port}"


def can_mount() -> bool:
    return os.geteuid() == 0 and shutil.which("mount") is not None


def mount(directory: Path, megabytes: int) -> None:
    """A disk of that size, or that size for the one that is there."""
    again = ",remount" if directory.is_mount() else ""
    options = f"size={megabytes}m{again}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory], check=True)


def unmount(directory: Path) -> None:
    subprocess.run(["umount", "--lazy", directory], check=True)


@contextmanager
def temporary_directory(prefix: str) -> Iterator[Path]:
    """A directory for servers' data, gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    directory.chmod(0o711)  # root's PostgreSQL runs as another user, who has to pass
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _create(directory: Path) -> Path:
    directory.mkdir()
    return directory
