"""What a client that reconnects receives, and when a replica reports a gap."""

import math
from datetime import UTC, datetime

import msgspec
import pytest

from monitor.live.channel_index import ChannelIndex
from monitor.live.cursor import StreamPosition, prefix
from monitor.live.history import History, MessageBatch, Publication, pack
from monitor.live.replay import Replay


class Said(msgspec.Struct):
    what: str


def batch(origin: str, first: int, *words: str, channel: str = "broadcast") -> MessageBatch:
    time = datetime.now(UTC)
    said = [Publication("system_message", [channel], time, Said(word)) for word in words]
    return MessageBatch(origin, first, len(said), pack(said))


def a_history(messages: int = 100, size: int = 1_000_000) -> History:
    history = History(messages, size)
    history.known_since = 0
    return history


def replayed(
    history: History, cursor: StreamPosition, until: int = 1_000_000
) -> list[tuple[str, str]]:
    """The messages since the cursor: what they say, and their ids."""
    index = ChannelIndex(history)
    assert index.extend(math.inf)
    replay = Replay(cursor, set(), range(until, 1_000_000))
    texts = replay.read(history, index, {"broadcast"})
    messages = [msgspec.json.decode(text) for text in texts]
    return [(message["data"]["what"], message["id"]) for message in messages]


def cursor(time: int = 1, **offsets: int) -> StreamPosition:
    return StreamPosition(time, offsets)


def test_a_cursor_is_read_as_it_was_written() -> None:
    text = prefix(0x1A2, {"a": 10, "b": 3, "c": 0}, "a") + "b"
    assert StreamPosition.parse(text) == (0x1A2, {"a": 11, "b": 3})


@pytest.mark.parametrize("text", ["", "x", ".", "-", "1.a", "1.a-", "1.a-x", "1.a-1-2", "1..a-1"])
def test_what_is_no_cursor_is_none(text: str) -> None:
    assert StreamPosition.parse(text) is None


def test_replay_starts_mid_batch_in_order() -> None:
    history = a_history()
    for each in (batch("a", 1, "1", "2", "3"), batch("b", 1, "4"), batch("a", 4, "5")):
        history.append(each)
    history.append(batch("b", 2, "other", channel="progress:x"))
    assert [said for said, _ in replayed(history, cursor(a=2))] == ["3", "4", "5"]
    assert [said for said, _ in replayed(history, cursor(a=2), until=2)] == ["3", "4"]
    assert history.covers(cursor(a=2))


def test_replayed_message_cursor_continues_the_replay() -> None:
    history = a_history()
    for each in (batch("a", 1, "1", "2"), batch("b", 1, "3"), batch("a", 3, "4")):
        history.append(each)
    all_of_it = replayed(history, cursor(b=0))
    for place, (_, id_) in enumerate(all_of_it):
        position = StreamPosition.parse(id_)
        assert position
        rest = [said for said, _ in replayed(history, position)]
        assert rest == [said for said, _ in all_of_it[place + 1 :]]


def test_reordered_messages_of_other_replica_are_not_repeated() -> None:
    history = a_history()
    history.append(batch("a", 1, "1"))
    history.append(batch("b", 1, "2"))
    assert [said for said, _ in replayed(history, cursor(b=1))] == ["1"]
    ((_, id_),) = replayed(history, cursor(b=1))
    assert StreamPosition.parse(id_) == (1, {"b": 1, "a": 1})


def test_what_is_evicted_is_vouched_for_no_more() -> None:
    history = a_history(messages=2)
    for number in range(1, 5):
        history.append(batch("a", number, str(number)))
    assert not history.covers(cursor(a=1))
    assert history.covers(cursor(a=2))
    assert not history.covers(cursor())


def test_history_is_bounded_by_bytes_too() -> None:
    history = a_history(size=1000)
    for number in range(1, 20):
        history.append(batch("a", number, "x" * 100))
    assert sum(each.size for each in history.batches) <= 1000
    assert history.covers(cursor(a=18))
    assert not history.covers(cursor(a=10))


def test_a_replica_does_not_vouch_for_what_it_does_not_know() -> None:
    history = a_history()
    history.append(batch("a", 1, "1"))
    assert not history.covers(cursor(a=2))  # it has not come
    assert not history.covers(cursor(z=1))
    history.skip("a", 5)
    assert not history.covers(cursor(a=1))
    assert history.covers(cursor(a=5))
    history.lost_at = 10
    assert not history.covers(cursor(9, a=5))
    assert history.covers(cursor(10, a=5))


def test_forgetting_an_origin_ends_the_cursors_from_before() -> None:
    history = a_history()
    history.append(batch("a", 1, "1"))
    history.append(batch("b", 1, "2"))
    history.append(batch("a", 2, "3"))
    history.forget("a", 50)
    assert not history.covers(cursor(49, b=1))
    assert not history.covers(cursor(60, a=2, b=1))
    assert history.covers(cursor(60, b=1))
    assert [each.replica_id for each in history.batches] == []
