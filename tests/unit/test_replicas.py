"""How replicas fill each other's gaps, on a wire that loses selected messages."""

import asyncio
from collections import deque
from datetime import UTC, datetime

import msgspec

from monitor.live import replicas
from monitor.live.cursor import StreamPosition
from monitor.live.history import History, MessageBatch, Publication
from monitor.live.hub import Hub
from monitor.live.replica_messages import ReplicaMessage
from monitor.live.replicas import Replicas
from monitor.live.subscriber import SocketLimits
from tests.support.subscribers import Message, Peer

_ENCODER, _DECODER = msgspec.json.Encoder(), msgspec.json.Decoder(ReplicaMessage)


class Wire:
    """Carries the replicas' messages, in order, to those connected."""

    def __init__(self) -> None:
        self.ends: dict[str, Replicas] = {}
        self._carried: deque[tuple[str | None, bytes]] = deque()
        self.sizes: list[int] = []  # bytes of each message

    def send(self, message: ReplicaMessage, whom: str | None) -> None:
        if message.replica_id in self.ends:
            self._carried.append((whom, _ENCODER.encode(message)))
            self.sizes.append(len(self._carried[-1][1]))

    def run(self) -> None:
        while self._carried:
            whom, data = self._carried.popleft()
            for origin, end in list(self.ends.items()):
                if whom in (None, origin):
                    end.receive(_DECODER.decode(data))


class Node:
    """A hub with a socket that hears all, and its end of the wire."""

    def __init__(self, wire: Wire, messages: int = 100) -> None:
        self.hub = Hub(History(messages, 1_000_000), SocketLimits(1000, 1_000_000))
        self.end = Replicas(self.hub, wire.send)
        self.wire, self.peer = wire, Peer()
        self._joined = self.hub.join(self.peer, "taro")
        self.hub.subscribe(self._joined.__enter__(), ["*", "class:7"])
        self.hub.relay = self.relay

    def relay(self, batch: MessageBatch) -> None:
        self.wire.send(batch, None)

    async def connect(self) -> bool:
        others = len(self.wire.ends)
        self.wire.ends[self.hub.replica_id] = self.end
        self.wire.send(self.end.hello(), None)
        self.wire.run()
        return await self.end.wait_for_greetings(others, 0.2)

    def disconnect(self) -> None:
        del self.wire.ends[self.hub.replica_id]

    def say(self, *words: str) -> None:
        self.hub.publish(
            Publication("system_message", ["broadcast"], datetime.now(UTC), Message(word))
            for word in words
        )
        self.wire.run()

    def vouches(self, since: str) -> bool:
        cursor = StreamPosition.parse(since)
        return cursor is not None and self.hub.history.covers(cursor)

    @property
    def heard(self) -> list[str]:
        return [each["data"]["what"] for each in self.peer.messages if each["channel"]]

    @property
    def resumed(self) -> list[bool]:
        return [
            each["data"]["recovered"] for each in self.peer.messages if each["event"] == "resumed"
        ]


async def nodes(count: int) -> list[Node]:
    wire = Wire()
    all_nodes = [Node(wire) for _ in range(count)]
    for node in all_nodes:
        assert await node.connect()
    return all_nodes


async def test_all_hear_all_once() -> None:
    one, two, three = await nodes(3)
    one.say("1", "2")
    two.say("3")
    three.say("4")
    for node in (one, two, three):
        assert node.heard == ["1", "2", "3", "4"]
        assert node.resumed == []


async def test_a_new_replica_learns_what_was_before_it() -> None:
    one, two = await nodes(2)
    one.say("1")
    since = one.hub.cursor
    two.say("2")
    three = Node(one.wire)
    assert await three.connect()
    assert three.hub.history.high_water == one.hub.history.high_water
    assert three.heard == ["1", "2"]
    one.end.farewell()
    one.wire.run()
    assert three.vouches(since)


async def test_a_long_history_is_sent_in_parts() -> None:
    wire = Wire()
    one = Node(wire, messages=1000)
    assert await one.connect()
    words = [f"{number} {'x' * 10_000}" for number in range(90)]
    for word in words:
        one.say(word)
    two = Node(wire, messages=1000)
    wire.sizes.clear()
    assert await two.connect()
    assert two.heard == words
    assert two.resumed == []
    assert max(wire.sizes) < 300_000


async def test_a_quiet_history_is_vouched_for_by_a_new_replica() -> None:
    one, two = await nodes(2)
    since = one.hub.cursor
    await asyncio.sleep(0.01)
    three = Node(one.wire)
    assert await three.connect()
    assert three.vouches(since)
    assert two.heard == three.heard == []


async def test_what_is_said_while_apart_comes_when_together_again() -> None:
    one, two = await nodes(2)
    one.say("1")
    one.disconnect()
    one.say("2")
    two.say("3")
    assert await one.connect()
    one.wire.run()
    two.say("4")
    assert sorted(one.heard) == sorted(two.heard) == ["1", "2", "3", "4"]
    assert one.resumed == two.resumed == []


async def test_a_pulse_shows_what_got_lost_on_the_way() -> None:
    one, two = await nodes(2)
    two.disconnect()
    one.say("1")
    two.wire.ends[two.hub.replica_id] = two.end
    one.end.tick()
    one.wire.run()
    assert two.heard == ["1"]


async def test_what_follows_a_gap_waits_for_what_was_lost() -> None:
    one, two = await nodes(2)
    two.disconnect()
    one.say("1")
    two.wire.ends[two.hub.replica_id] = two.end
    one.say("2")
    assert two.heard == ["1", "2"]
    assert two.resumed == []


async def test_clients_are_told_of_what_nobody_has_any_more() -> None:
    wire = Wire()
    one, two = Node(wire, messages=2), Node(wire)
    for node in (one, two):
        assert await node.connect()
    two.disconnect()
    for word in "12345":
        one.say(word)
    two.wire.ends[two.hub.replica_id] = two.end
    one.end.tick()
    one.wire.run()
    assert two.heard == ["4", "5"]
    assert two.resumed == [False]


async def test_clients_are_told_of_a_replica_that_fell_silent() -> None:
    one, two = await nodes(2)
    one.say("1")
    since = two.hub.cursor
    assert two.hub.presence.of("class:7").count == 2
    one.disconnect()
    two.end._alive[one.hub.replica_id] -= 10_000
    two.end.tick()
    assert two.resumed == [False]
    assert not two.vouches(since)
    assert two.hub.presence.of("class:7").count == 1


async def test_a_replica_that_says_farewell_leaves_no_doubt() -> None:
    one, two = await nodes(2)
    one.say("1")
    since = two.hub.cursor
    one.end.farewell()
    one.wire.run()
    one.disconnect()
    two.end.tick()
    assert two.resumed == []
    assert two.vouches(since)
    assert two.hub.presence.of("class:7").count == 1


async def test_ended_replica_is_forgotten_for_good() -> None:
    one, two, three = await nodes(3)
    one.say("1")
    one.end.farewell()
    one.wire.run()
    one.disconnect()
    two.end._last_batch[one.hub.replica_id] -= replicas._REPLICA_TTL + replicas._MAX_CLOCK_SKEW + 1
    two.end.tick()
    three.end.tick()
    one.wire.run()
    assert one.hub.replica_id not in two.hub.history.high_water
    assert one.hub.replica_id in three.hub.history.high_water
    assert two.heard == ["1"]
