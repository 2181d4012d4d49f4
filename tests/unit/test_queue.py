"""The queue between requests and consumers."""

import asyncio

import pytest

from monitor.auth.call import Call
from monitor.auth.permissions import Permission
from monitor.auth.principal import Principal
from monitor.errors import OverLimit, QueueFull
from monitor.events.event import Payload
from monitor.pipeline.queue import EventQueue
from tests.support.factories import make_event


async def test_a_full_queue_refuses_by_events_and_by_bytes() -> None:
    queue = EventQueue(3, 100)
    queue.put(Payload([make_event(), make_event()], []), 10)
    with pytest.raises(QueueFull, match="2 events"):
        queue.put(Payload([make_event(), make_event()], []), 10)
    with pytest.raises(QueueFull, match="10 bytes"):
        queue.put(Payload([make_event()], []), 91)
    queue.put(Payload([make_event()], []), 90)
    assert queue.full
    (one, other) = await queue.take(10, 0)
    queue.release(one)
    assert not queue.full
    queue.put(Payload([make_event()], []), 10)
    queue.release(other)
    assert queue.events == 1


async def test_closing_gives_up_after_its_timeout() -> None:
    queue = EventQueue(10, 10)
    queue.put(Payload([make_event()], []), 1)
    async with asyncio.timeout(2):
        assert not await queue.wait_drained(0.05)
    assert queue.events == 1


async def test_a_take_that_is_cancelled_leaves_its_request_to_the_next() -> None:
    queue = EventQueue(10, 10)
    for _ in range(2):
        queue.put(Payload([make_event()], []), 1)
    taking = asyncio.create_task(queue.take(10, 3600))
    await asyncio.sleep(0.01)
    assert not taking.done()  # it lingers
    taking.cancel()
    await asyncio.wait([taking])
    assert taking.cancelled()
    async with asyncio.timeout(2):
        batch = await queue.take(10, 0)
    assert [request.arrived for request in batch] == sorted(request.arrived for request in batch)
    assert len(batch) == 2


async def test_a_batch_that_is_full_does_not_linger() -> None:
    queue = EventQueue(10, 10)
    queue.put(Payload([make_event(), make_event()], []), 1)
    async with asyncio.timeout(2):
        assert len(await queue.take(2, 3600)) == 1


async def test_one_payer_leaves_part_of_the_room_to_others() -> None:
    queue = EventQueue(10, 100)
    queue.put(Payload([make_event() for _ in range(8)], []), 1, "ann", 0.5)  # one request always
    with pytest.raises(OverLimit, match="8 of your events"):
        queue.put(Payload([make_event()], []), 1, "ann", 0.5)
    queue.put(Payload([make_event()], []), 1, "ben", 0.5)
    with pytest.raises(OverLimit):
        queue.put(Payload([make_event()], []), 50, "ben", 0.5)
    assert queue.refused == 2
    for request in await queue.take(10, 0):
        queue.release(request)
    queue.put(Payload([make_event() for _ in range(4)], []), 1, "ann", 0.5)
    queue.put(Payload([make_event()], []), 1, "ann", 0.5)


async def test_a_person_has_less_of_the_room_than_a_key_that_many_share() -> None:
    queue = EventQueue(20, 100)
    for caller in ("person", "key"):
        queue.put(Payload([make_event() for _ in range(5)], []), 1, caller)
    queue.put(Payload([make_event()], []), 1, "key", _part("key 1"))
    with pytest.raises(OverLimit, match="5 of your events"):
        queue.put(Payload([make_event()], []), 1, "person", _part("token 1", "hanako"))


def _part(name: str, student: str | None = None) -> float:
    return Call(Permission(), Principal("key", name, student=student), host="192.0.2.1").part
