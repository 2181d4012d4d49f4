"""The fan-out of messages to subscribers."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from monitor.pipeline.hub import Delivery, Hub, Outgoing
from monitor.pipeline.messages import execution_updates
from monitor.pipeline.postgres import Stored, Totals
from tests.made import made


class Said(msgspec.Struct):
    what: Any


def outgoing(*channels: str, what: Any = "hello") -> Outgoing:
    return Outgoing("system_message", list(channels), datetime.now(UTC), Said(what))


async def test_a_subscriber_gets_a_message_once_however_many_channels_match() -> None:
    hub = Hub(10)
    with hub.join() as every, hub.join() as several, hub.join() as other:
        hub.subscribe(every, ["*", "progress:a"])
        hub.subscribe(several, ["progress:a", "progress:*", "class:1"])
        hub.subscribe(other, ["progress:b"])
        hub.publish([outgoing("progress:a", "progress:*", "class:1")])
        hub.reply(other, "pong", Said(None))
        assert len(await every.take()) == 1
        assert len(await several.take()) == 1
        (only,) = await other.take()
        assert '"pong"' in only


async def test_a_message_names_the_first_of_its_channels_and_has_an_id_of_its_own() -> None:
    hub = Hub(10)
    with hub.join() as subscriber:
        hub.subscribe(subscriber, ["class:1"])
        hub.publish([outgoing("progress:a", "class:1"), outgoing("progress:b", "class:1")])
        messages = [msgspec.json.decode(text) for text in await subscriber.take()]
    assert [message["channel"] for message in messages] == ["progress:a", "progress:b"]
    assert len({message["id"] for message in messages}) == 2
    assert set(messages[0]) == {"event", "channel", "id", "timestamp", "data"}


async def test_a_subscriber_that_falls_behind_is_overrun_and_holds_no_more_than_allowed() -> None:
    hub = Hub(3)
    with hub.join() as slow, hub.join() as quick:
        hub.subscribe(slow, ["broadcast"])
        hub.subscribe(quick, ["broadcast"])
        for number in range(4):
            assert not slow.overrun.is_set()
            hub.publish([outgoing("broadcast", what=number)])
            assert len(await quick.take()) == 1
        assert slow.overrun.is_set()
        assert not quick.overrun.is_set()
        assert len(await slow.take()) == 3


async def test_a_message_is_made_only_when_somebody_listens() -> None:
    hub, event = Hub(10), made(student="a")
    stored = Stored([event], [], {"a": Totals(1, 0, [7])})
    assert not list(execution_updates(stored, hub.hears))
    for channel in ("progress:a", "progress:*", "class:7", "*"):
        with hub.join() as subscriber:
            hub.subscribe(subscriber, ["progress:b", "class:8"])
            assert not list(execution_updates(stored, hub.hears))
            hub.subscribe(subscriber, [channel])
            assert len(list(execution_updates(stored, hub.hears))) == 1
            hub.unsubscribe(subscriber, [channel])
            assert not list(execution_updates(stored, hub.hears))


async def test_nobody_listens_any_more_once_a_subscriber_has_left() -> None:
    hub = Hub(10)
    with hub.join() as subscriber:
        hub.subscribe(subscriber, ["progress:a", "*"])
        assert hub.sockets == 1
        assert hub.hears(["progress:a"])
    assert hub.sockets == 0
    assert not hub.hears(["progress:a"])


async def test_messages_are_relayed_in_one_piece_even_when_nobody_listens_here() -> None:
    hub = Hub(10)
    relayed: list[list[Delivery]] = []
    hub.relay = relayed.append
    hub.publish([outgoing("progress:a"), outgoing("progress:b")])
    assert hub.hears(["progress:a"])
    (deliveries,) = relayed
    assert [delivery.channels for delivery in deliveries] == [["progress:a"], ["progress:b"]]


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
    event = made(student=student)
    (message,) = execution_updates(
        Stored([event], [], {student: Totals(1, 0, [7])}), lambda _: True
    )
    assert message.channels == [channel, "progress:*", "class:7"]
    data = msgspec.json.decode(msgspec.json.encode(message.data))
    assert data == {
        "eventId": str(event.id),
        "eventType": "cell_executed",
        "userId": student,
        "notebookPath": "units/lesson.ipynb",
        "cellId": "cell-1",
        "status": "success",
        "executions": 1,
        "errors": 0,
    }
