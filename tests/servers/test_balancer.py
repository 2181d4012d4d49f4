"""Three replicas behind HAProxy, as docker-compose.prod.yml has them, with Redis between them."""

import asyncio
import signal
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from docs.follow import follow
from tests.support.events import event
from tests.support.postgres import Address, fetch
from tests.support.replicas import Replica
from tests.support.servers import HaproxyServer, RedisServer
from tests.support.waiting import eventually

CLIENTS = 6
pytestmark = pytest.mark.needs("haproxy")


class School:
    """The replicas and what is before them."""

    def __init__(self, replicas: list[Replica], balancer: HaproxyServer) -> None:
        self.replicas = replicas
        self.host = f"{balancer.host}:{balancer.port}"
        self.acknowledged: list[str] = []

    async def post(self, client: httpx.AsyncClient) -> None:
        """As the extension does: once more until it is answered by less than 500."""
        sent, url = event(eventId=str(uuid.uuid4())), f"http://{self.host}/api/v1/events"
        while True:
            with suppress(httpx.TransportError):
                if (await client.post(url, json=[sent])).status_code < 500:
                    break
            await asyncio.sleep(0.1)
        self.acknowledged.append(sent["eventId"])

    @asynccontextmanager
    async def lesson(self) -> AsyncIterator[None]:
        """Events all the time, and the end is well after the last of them."""

        async def go_on() -> None:
            async with httpx.AsyncClient(timeout=8) as client, asyncio.TaskGroup() as posts:
                while not over.is_set():
                    posts.create_task(self.post(client))
                    await asyncio.sleep(0.02)

        over = asyncio.Event()
        posting = asyncio.create_task(go_on())
        try:
            await asyncio.sleep(0.5)
            yield
            await asyncio.sleep(0.5)
        finally:
            over.set()
            await posting

    async def sockets(self) -> list[int]:
        async with httpx.AsyncClient() as client:
            answers = [await client.get(f"{each.url}/health") for each in self.replicas]
        return [answer.json()["sockets"] for answer in answers]

    async def stored(self, postgres: Address) -> Counter[str]:
        rows = await fetch(postgres, "SELECT event_id::text AS id FROM cell_executions")
        return Counter(row["id"] for row in rows)


class Dashboard:
    """A client that follows, and what it has seen."""

    def __init__(self, host: str) -> None:
        self.seen: list[str] = []
        self.gaps: list[dict[str, Any]] = []
        self._task = asyncio.create_task(self._follow(host))

    async def _follow(self, host: str) -> None:
        async for message in follow(f"ws://{host}/ws", ["class:7", "progress:hanako"]):
            if message["event"] == "execution_update":
                self.seen.append(message["data"]["eventId"])
            else:
                self.gaps.append(message)

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


@pytest.fixture
def school(
    environment: dict[str, str], redis_server: RedisServer, tmp_path: Path
) -> Iterator[School]:
    redis = {"REDIS_HOST": redis_server.host, "REDIS_PORT": str(redis_server.port)}

    def replica(name: str) -> Replica:
        return Replica(environment | redis | {"DATA_DIR": str(tmp_path / name)})

    with replica("a") as a, replica("b") as b, replica("c") as c:
        replicas = [a, b, c]
        with HaproxyServer(tmp_path, [each.port for each in replicas]) as balancer:
            yield School(replicas, balancer)


@pytest.fixture
async def dashboards(school: School) -> AsyncIterator[list[Dashboard]]:
    """Clients on every replica."""
    clients = [Dashboard(school.host) for _ in range(CLIENTS)]

    async def spread() -> bool:
        return await school.sockets() == [CLIENTS // 3] * 3

    await eventually(spread)
    yield clients
    for each in clients:
        await each.close()


async def all_seen(school: School, dashboards: list[Dashboard]) -> None:
    async def shown() -> bool:
        return all(len(each.seen) >= len(school.acknowledged) for each in dashboards)

    await eventually(shown)


async def test_clients_on_every_replica_see_every_event_once(
    school: School, dashboards: list[Dashboard]
) -> None:
    async with school.lesson():
        await asyncio.sleep(0.5)
    await all_seen(school, dashboards)
    for each in dashboards:
        assert sorted(each.seen) == sorted(school.acknowledged)
        assert each.gaps == []

    async def present() -> list[int]:
        async with httpx.AsyncClient() as client:
            path = "/api/v1/classes/7/presence"
            return [
                (await client.get(replica.url + path)).json()["count"]
                for replica in school.replicas
            ]

    async def all_present() -> bool:
        return await present() == [CLIENTS] * 3

    await eventually(all_present, within=5)


async def test_a_rolling_restart_loses_no_message(
    school: School, dashboards: list[Dashboard], postgres: Address
) -> None:
    async with school.lesson():
        for replica in school.replicas:
            await asyncio.to_thread(replica.stop)
            await asyncio.to_thread(replica.start)
    await all_seen(school, dashboards)
    for each in dashboards:
        assert sorted(each.seen) == sorted(school.acknowledged)
        assert each.gaps == []
    assert await school.stored(postgres) == Counter(school.acknowledged)


async def test_a_killed_replica_takes_nothing_acknowledged_with_it(
    school: School, dashboards: list[Dashboard], postgres: Address
) -> None:
    async with school.lesson():
        relayed = len(school.acknowledged)
        await asyncio.sleep(1)  # the others have it within that, also on a busy machine
        killed = school.replicas[0]
        await asyncio.to_thread(killed.stop, signal.SIGKILL)
        await asyncio.sleep(1)
        moved = len(school.acknowledged)
    assert await school.stored(postgres) == Counter(school.acknowledged)

    async def notified() -> bool:
        return all(each.gaps for each in dashboards)

    await eventually(notified)
    sure = {*school.acknowledged[:relayed], *school.acknowledged[moved:]}
    for each in dashboards:
        assert not sure - set(each.seen)
        assert len(each.seen) == len(set(each.seen))
        assert each.gaps[-1]["data"] == {"recovered": False}
    school.replicas.remove(killed)
    assert sum(await school.sockets()) == CLIENTS
    await asyncio.to_thread(killed.start)
