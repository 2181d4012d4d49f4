"""What is checked: a server's pipeline and jobs, on a database and a DATA_DIR of their own."""

import asyncio
import shutil
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

import asyncpg

from monitor.database.pool import Database, close_pool, open_pool
from monitor.errors import Unavailable
from monitor.events.event import Event
from monitor.jobs.counting import Counting
from monitor.jobs.withdrawing import Withdrawing
from monitor.pipeline.queue import Receipt
from monitor.pipeline.spool.entries import Spool
from monitor.timeseries.outbox import PointsOutbox
from tests.chaos.network import Network
from tests.support.consumers import RunningConsumers
from tests.support.postgres import Address
from tests.support.waiting import eventually

COMMIT_TIMEOUT = 0.4  # seconds
SPOOL_BYTES = 10_000_000


class System:
    """A process that may crash, its network to PostgreSQL, and the lines sent to InfluxDB.

    `admin` is a connection to another database of the same PostgreSQL, that stays.
    """

    def __init__(self, address: Address, admin: asyncpg.Connection, directory: Path) -> None:
        self.address = address  # without the network
        self.admin = admin
        self.lines: set[str] = set()
        self.network = Network(f"{address['host']}/.s.PGSQL.{address['port']}")
        self._directory = directory
        self._numbers = count()

    async def open(self) -> None:
        await self.network.__aenter__()
        await self._start(self._directory / "data")

    async def close(self) -> None:
        await self._stop()
        await self.network.__aexit__()

    async def put(self, requests: Sequence[Sequence[Event]]) -> list[Receipt]:
        """Sends requests at the same time."""
        running = self.running
        return await asyncio.gather(
            *(running.put(*events, size=len(events)) for events in requests if events)
        )

    async def crash(self) -> None:
        """The process is gone; its files are as they were."""
        data_dir = self._directory / f"data-{next(self._numbers)}"
        shutil.copytree(self.data_dir, data_dir)  # before anything is put in order
        self.network.cut()
        await self._stop()
        shutil.rmtree(self.data_dir)
        await self.connections_gone()
        await self._start(data_dir)

    async def go_away(self) -> None:
        """PostgreSQL can't be reached from now on."""
        self.network.refusing = True
        self.network.cut()
        await self.connections_gone()

    def come_back(self) -> None:
        self.network.refusing = False

    async def settle(self) -> None:
        """Returns when the spool is drained and everything is counted."""
        running = self.running
        if running.drain.active or running.spool.events:
            running.drain.activate(Unavailable("Look again now"))
        await eventually(lambda: not (running.drain.active or running.spool.events), within=30)
        await eventually(self._is_counted)

    async def _is_counted(self) -> bool:
        """False where a client would try again: the connection was lost."""
        try:
            await self.counting.catch_up()
        except Unavailable:
            return False
        return True

    async def write_points(self, *, fails: bool) -> None:
        """Moves what the outbox names to InfluxDB, which `fails` after the first lines."""

        async def write(lines: Sequence[str]) -> None:
            self.lines.update(lines)
            if fails:
                raise ConnectionError("InfluxDB is away")

        outbox = PointsOutbox(self.pool)
        with suppress(ConnectionError):
            while await outbox.catch_up(write, 0.0):
                pass

    async def _start(self, data_dir: Path) -> None:
        through = {**self.address, "host": "127.0.0.1", "port": self.network.port}
        self.data_dir = data_dir
        self.pool = await open_pool(through, 4, 5.0)
        self.database = Database(through, 3, 5.0)
        await self.database.open()
        spool = Spool.open(data_dir, SPOOL_BYTES)
        self.running = RunningConsumers(self.pool, spool, COMMIT_TIMEOUT, 1_000, has_influx=True)
        self.counting = Counting(self.database, lambda: False)
        self.withdrawing = Withdrawing(self.database, has_influx=True)
        for part in (self.running.drain, self.running.consumers, self.counting, self.withdrawing):
            await part.start()

    async def _stop(self) -> None:
        parts = (self.running.consumers, self.running.drain, self.counting, self.withdrawing)
        await asyncio.gather(*(part.stop(0) for part in parts))
        await self.running.spool.close()
        await self.database.close(0)
        await close_pool(self.pool, 0)

    async def connections_gone(self) -> None:
        """Returns when what was on its way is committed or not, for good."""
        while await self.admin.fetchval(_TERMINATE, self.address["database"]):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.005)  # in which this end notices


_TERMINATE = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = $1 AND pid <> pg_backend_pid()
"""
