"""Large requests and those of slow sources wait in lines, beside the batches of the others."""

import asyncio

from monitor.events.event import Payload
from monitor.pipeline.apart import Apart
from monitor.pipeline.queue import PendingRequest
from tests.support.factories import make_event


def request(student: str, events: int = 1) -> PendingRequest:
    payload = Payload([make_event(student=student) for _ in range(events)], [])
    return PendingRequest(payload, "", 1, 0.0, asyncio.get_running_loop().create_future())


async def test_large_requests_wait_and_nobody_waits_for_them() -> None:
    apart = Apart()
    small, large, other = request("ann"), request("ben", 201), request("ben", 200)
    assert apart.divert([small, large, other]) == [small, other]
    assert apart.divert([other]) == [other]
    assert apart.next() is large
    assert apart.next() is None


async def test_requests_of_slow_sources_are_served_in_turn() -> None:
    apart = Apart()
    of_ann = [request("ann") for _ in range(3)]
    of_ben, of_eve = request("ben"), request("eve")
    apart.isolate([of_ann[0], of_ben])
    assert apart.divert([*of_ann, of_ben, of_eve]) == [of_eve]
    assert [apart.next() for _ in range(5)] == [of_ann[0], of_ben, of_ann[1], of_ann[2], None]
