"""Two brokers on one Redis: what happens to one's tasks does not end them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio
from redis.asyncio.client import PubSub

from monitor.live.broker import RedisBroker
from monitor.live.history import History, Publication
from monitor.live.hub import Hub
from monitor.live.redis_address import RedisAddress
from monitor.live.subscriber import SocketLimits
from tests.support.factories import now
from tests.support.servers import RedisServer
from tests.support.subscribers import Message, Peer
from tests.support.waiting import eventually


class Side:
    """A hub with its broker, and a subscriber of everything."""

    def __init__(self, server: RedisServer, database: int = 0) -> None:
        self.hub = Hub(History(1000, 1_000_000), SocketLimits(1000, 1_000_000))
        self.broker = RedisBroker(
            RedisAddress(f"redis://{server.host}:{server.port}/{database}"), self.hub, 1000
        )
        self.peer = Peer()

    @property
    def received(self) -> list[Any]:
        return [each["data"].get("what") for each in self.peer.messages]

    def publish(self, what: str) -> None:
        self.hub.publish([Publication("notice", ["broadcast"], now(), Message(what))])


@pytest.fixture
async def sides(redis_server: RedisServer) -> AsyncIterator[list[Side]]:
    both = [Side(redis_server) for _ in range(2)]
    for side in both:
        await side.broker.start()
    with both[1].hub.join(both[1].peer) as subscriber:
        both[1].hub.subscribe(subscriber, ["broadcast"])
        yield both
    for side in both:
        await side.broker.stop(0.0)


async def test_installations_in_two_databases_of_a_redis_hear_nothing_of_each_other(
    sides: list[Side], redis_server: RedisServer
) -> None:
    others = [Side(redis_server, 1) for _ in range(2)]
    for side in others:
        await side.broker.start()
    try:
        with others[1].hub.join(others[1].peer) as subscriber:
            others[1].hub.subscribe(subscriber, ["broadcast"])
            sides[0].publish("ours")
            others[0].publish("theirs")
            await eventually(lambda: sides[1].received and others[1].received)
        assert sides[1].received == ["ours"]
        assert others[1].received == ["theirs"]
    finally:
        for side in others:
            await side.broker.stop(0.0)


class CancelledInside:
    """Takes the place of a method of the client's, which once awaits something cancelled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: type, name: str) -> None:
        self._real = getattr(kind, name)
        self.happened = False
        outer = self

        async def method(client: Any, *arguments: Any, **options: Any) -> Any:
            if not outer.happened:
                outer.happened = True
                other = asyncio.get_running_loop().create_future()
                other.cancel()
                await other
            return await outer._real(client, *arguments, **options)

        monkeypatch.setattr(kind, name, method)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(redis.asyncio.Redis, "publish"), (PubSub, "get_message")],
    ids=["sending", "receiving"],
)
async def test_a_cancellation_inside_ends_no_connection_for_good(
    sides: list[Side], monkeypatch: pytest.MonkeyPatch, kind: type, name: str
) -> None:
    sender, receiver = sides
    inside = CancelledInside(monkeypatch, kind, name)
    await eventually(lambda: inside.happened)
    sender.publish("later")
    await eventually(lambda: "later" in receiver.received)

    async def are_well() -> bool:
        return all([(await side.broker.health()).state == "ok" for side in sides])

    await eventually(are_well)


async def test_a_lost_connection_leaves_no_mark_on_the_task_that_makes_a_new_one(
    sides: list[Side], redis_server: RedisServer
) -> None:
    """Python 3.11.2, of Debian 12, takes the mark for the end of the task at its next time-out."""
    client = redis.asyncio.Redis(host=redis_server.host, port=redis_server.port)
    await client.client_kill_filter(_type="pubsub")
    await client.aclose()
    sender, receiver = sides

    def heard() -> bool:
        sender.publish("later")
        return "later" in receiver.received

    await eventually(heard)
    listening = [each for each in asyncio.all_tasks() if each.get_name() == "Listening to Redis"]
    assert [each.cancelling() for each in listening] == [0, 0]


@pytest.mark.parametrize(
    ("kind", "name"),
    [(redis.asyncio.Redis, "publish"), (PubSub, "subscribe")],
    ids=["greeting", "subscribing"],
)
async def test_a_cancellation_inside_does_not_hold_up_the_start(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, kind: type, name: str
) -> None:
    side = Side(redis_server)
    inside = CancelledInside(monkeypatch, kind, name)
    async with asyncio.timeout(10):
        await side.broker.start()
    assert inside.happened
    await eventually(lambda: side.broker.connected)
    await side.broker.stop(0.0)


@pytest.mark.parametrize("name", ["Listening to Redis", "Sending to the other replicas"])
async def test_a_task_that_has_ended_is_reported(redis_server: RedisServer, name: str) -> None:
    side = Side(redis_server)
    await side.broker.start()
    assert (await side.broker.health()).state == "ok"
    task = next(each for each in asyncio.all_tasks() if each.get_name() == name)
    task.cancel()
    await asyncio.wait([task])
    report = await side.broker.health()
    assert (report.state, report.error) == ("down", f"{name} does not run")
    await side.broker.stop(0.0)
