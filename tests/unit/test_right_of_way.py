"""Bulk waits for the calls of people, and not for long."""

import asyncio

from monitor.right_of_way import RightOfWay
from tests.support.waiting import eventually


async def test_bulk_goes_on_at_once_while_nobody_calls() -> None:
    await asyncio.wait_for(RightOfWay().give(), 0.01)


async def test_bulk_waits_for_all_calls() -> None:
    right_of_way = RightOfWay()
    with right_of_way.taken():
        with right_of_way.taken():
            bulk = asyncio.create_task(right_of_way.give())
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not bulk.done()
    await eventually(bulk.done, within=0.05)


async def test_a_call_that_never_ends_stops_nothing() -> None:
    right_of_way = RightOfWay()
    with right_of_way.taken():
        await asyncio.wait_for(right_of_way.give(), 0.5)
