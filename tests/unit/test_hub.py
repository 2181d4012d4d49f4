"""The fan-out of messages to subscribers."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from monitor.live.history import History, MessageBatch, Publication
from monitor.live.hub import Hub
from monitor.live.subscriber import SLOW, SocketLimits, Subscriber, frame
from monitor.pipeline.class_choice import Member, Place
from monitor.pipeline.messages import Messages
from monitor.pipeline.postgres import State, Stored
from monitor.pipeline.resolving import Resolved
from tests.support.factories import make_event
from tests.support.subscribers import Message, Peer, text_of
from tests.support.waiting import eventually


def a_hub(messages: int = 100, pending: int = 10) -> Hub:
    return Hub(History(messages, 1_000_000), SocketLimits(pending, 1_000_000))


def outgoing(*channels: str, what: Any = "hello") -> Publication:
    return Publication("system_message", list(channels), datetime.now(UTC), Message(what))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_frame_states_the_size_of_its_text(size: int) -> None:
    ready = frame(b"x" * size)
    assert ready[0] == 0x81
    assert text_of(ready) == b"x" * size
    length = {126: ready[2:4], 127: ready[2:10]}.get(ready[1], ready[1:2])
    assert int.from_bytes(length) == size


async def test_message_on_several_channels_is_delivered_once() -> None:
    hub, every, several, other = a_hub(), Peer(), Peer(), Peer()
    with hub.join(every) as one, hub.join(several) as two, hub.join(other) as three:
        hub.subscribe(one, ["*", "progress:a"])
        hub.subscribe(two, ["progress:a", "progress:*", "class:1"])
        hub.subscribe(three, ["progress:b"])
        hub.publish([outgoing("progress:a", "progress:*", "class:1")])
        hub.reply(three, "pong", Message(None))
    assert len(every.frames) == len(several.frames) == 1
    assert every.frames[0] is several.frames[0]  # encoded once
    assert [message["event"] for message in other.messages] == ["pong"]


async def test_message_names_first_channel_and_own_id() -> None:
    hub, peer = a_hub(), Peer()
    with hub.join(peer) as subscriber:
        hub.subscribe(subscriber, ["class:1"])
        hub.publish([outgoing("progress:a", "class:1"), outgoing("progress:b", "class:1")])
    assert [message["channel"] for message in peer.messages] == ["progress:a", "progress:b"]
    assert len({message["id"] for message in peer.messages}) == 2
    assert set(peer.messages[0]) == {"event", "channel", "id", "timestamp", "data"}


async def test_only_the_slow_subscriber_is_dropped() -> None:
    hub, slow, quick = a_hub(pending=3), Peer(), Peer()
    with hub.join(slow) as one, hub.join(quick) as two:
        hub.subscribe(one, ["broadcast"])
        hub.subscribe(two, ["broadcast"])
        one.set_writable(False)
        for number in range(4):
            assert slow.dropped is None
            hub.publish([outgoing("broadcast", what=number)])
        assert slow.dropped == (SLOW, "slow")
        assert (len(slow.frames), len(quick.frames), quick.dropped) == (0, 4, None)


async def test_the_bytes_that_wait_for_a_subscriber_are_bounded_too() -> None:
    peer = Peer()
    subscriber = Subscriber(peer, SocketLimits(100, 1000))
    subscriber.set_writable(False)
    subscriber.put(b"", b"x" * 1000)
    assert peer.dropped is None
    subscriber.put(b"", b"x")
    assert peer.dropped == (SLOW, "slow")


async def test_what_waited_goes_out_in_order_when_the_peer_reads_again() -> None:
    hub, peer = a_hub(), Peer()
    with hub.join(peer) as subscriber:
        hub.subscribe(subscriber, ["broadcast"])
        subscriber.set_writable(False)
        hub.publish([outgoing("broadcast", what=number) for number in range(5)])
        assert peer.frames == []
        subscriber.set_writable(True)
        hub.publish([outgoing("broadcast", what=5)])
    assert [message["data"]["what"] for message in peer.messages] == [0, 1, 2, 3, 4, 5]


async def test_a_replay_comes_before_what_is_new() -> None:
    peer = Peer()
    subscriber = Subscriber(peer, SocketLimits(10, 1000))
    subscriber.hold()
    subscriber.put(b"3", frame(b"3"))
    subscriber.write([b"1", b"2"])
    subscriber.set_writable(False)
    subscriber.release()
    assert peer.messages == [1, 2]
    subscriber.set_writable(True)
    assert peer.messages == [1, 2, 3]
    subscriber.coalesce(1)
    subscriber.write([b"5"] * 201)
    assert peer.messages[-2:] == [[5] * 200, [5]]


async def test_who_waits_for_a_peer_learns_that_it_has_left() -> None:
    peer = Peer()
    subscriber = Subscriber(peer, SocketLimits(10, 1000))
    assert await subscriber.wait_until_writable()
    subscriber.set_writable(False)
    waiting = asyncio.create_task(subscriber.wait_until_writable())
    await asyncio.sleep(0)
    assert not waiting.done()
    subscriber.leave()
    assert await waiting is False
    subscriber.write([b"1"])
    assert peer.frames == []


async def test_a_subscriber_may_have_its_messages_in_arrays() -> None:
    hub, peer = a_hub(), Peer()
    with hub.join(peer) as subscriber:
        hub.subscribe(subscriber, ["broadcast"])
        subscriber.coalesce(0.01)
        hub.publish([outgoing("broadcast", what=number) for number in range(450)])
        hub.reply(subscriber, "pong", Message(None))
        await eventually(lambda: len(peer.frames) == 3)
        subscriber.coalesce(0)
        hub.publish([outgoing("broadcast", what="alone")])
    *arrays, alone = peer.messages
    assert [len(array) for array in arrays] == [200, 200, 51]
    assert [each["data"]["what"] for array in arrays for each in array][:-1] == list(range(450))
    assert alone["data"]["what"] == "alone"


async def test_nobody_listens_any_more_once_a_subscriber_has_left() -> None:
    hub, peer = a_hub(), Peer()
    with hub.join(peer, "taro") as subscriber:
        hub.subscribe(subscriber, ["progress:a", "*", "class:7"])
        assert hub.sockets == 1
        assert hub.presence.of("class:7").count == 1
    hub.publish([outgoing("progress:a", "class:7")])
    assert hub.sockets == hub.presence.of("class:7").count == 0
    assert not peer.frames


async def test_batch_is_relayed_whole_without_listeners() -> None:
    hub = a_hub()
    relayed: list[MessageBatch] = []
    hub.relay = relayed.append
    hub.publish([outgoing("progress:a"), outgoing("progress:b")])
    hub.publish([])
    (batch,) = relayed
    assert (batch.replica_id, batch.first, batch.last) == (hub.replica_id, 1, 2)
    assert [each.channels for each in batch.deliveries] == [["progress:a"], ["progress:b"]]


def test_what_is_no_batch_is_not_kept() -> None:
    hub = a_hub()
    with pytest.raises(msgspec.DecodeError):
        hub.deliver(MessageBatch("x", 1, 1, msgspec.Raw(b"[5]")))
    assert not hub.history.batches
    assert "x" not in hub.history.high_water


@pytest.mark.parametrize(
    ("student", "channel"),
    [
        ("*", "progress:%2A"),
        ("a,b", "progress:a%2Cb"),
        ("100%", "progress:100%25"),
        ("%2A", "progress:%252A"),
        ("花子", "progress:花子"),
    ],
)
def test_a_students_channel_is_escaped(student: str, channel: str) -> None:
    event = make_event(student=student)
    place = Place(1, 7, line=Member("student", True))
    resolved = Resolved(place, None, None, None, 0, event.time)
    stored = Stored([event], [resolved], [], {}, {(1, 7): State(1, 0, None, None)})
    (message,) = Messages(is_open=False).of(stored)
    assert message.channels == [channel, "progress:*", "class:7", f"7@{channel}"]
    data = msgspec.json.decode(msgspec.json.encode(message.data))
    assert data == {
        "eventId": str(event.id),
        "eventType": "cell_executed",
        "userId": student,
        "classId": 7,
        "notebookPath": "units/lesson.ipynb",
        "cellId": "cell-1",
        "cellIndex": 0,
        "status": "success",
        "executions": 1,
        "errors": 0,
        "verified": False,
        "name": None,
        "team": None,
    }


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ([], ("claimed", "claimed team")),
        ([Member("student", True, name="line", team="line team")], ("line", "line team")),
        ([Member("student", True, record_team="record team")], ("claimed", "claimed team")),
        ([Member("student", True, name="line")] * 2, ("line", "claimed team")),
        ([Member("student", True, name="line"), Member("student", True)], None),
    ],
    ids=["no class", "roster", "record", "classes alike", "classes that differ"],
)
def test_a_message_of_no_class_has_the_name_that_all_classes_show(
    lines: list[Member], names: tuple[str, str] | None
) -> None:
    event = make_event()
    place = Place(1, 0, attended=tuple(enumerate(lines, 7)))
    resolved = Resolved(place, None, None, None, 0, event.time)
    states = {(1, 0): State(1, 0, "claimed", "claimed team")}
    (message,) = Messages(is_open=True).of(Stored([event], [resolved], [], {}, states))
    data = msgspec.json.decode(msgspec.json.encode(message.data))
    assert (data.get("name"), data.get("team")) == (names or (None, None))
    assert ("name" in data) == (names is not None)
