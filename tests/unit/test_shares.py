"""Shares: one caller can't take what all need."""

import asyncio

import pytest

from monitor.errors import OverLimit, Unavailable
from monitor.shares import Share, Turns


def test_a_caller_at_their_bound_is_refused_and_the_others_are_not() -> None:
    share = Share("bytes", each=10, total=15)
    share.take("ann", 10)
    with pytest.raises(OverLimit, match="At most 10 bytes"):
        share.take("ann")
    share.take("ben", 5)
    assert (share.refused, share.exhausted) == (1, 0)


def test_all_together_have_a_bound_too() -> None:
    share = Share("bytes", each=10, total=15)
    share.take("ann", 10)
    with pytest.raises(Unavailable, match="holds 10 bytes"):
        share.take("ben", 6)
    share.give_back("ann", 10)
    share.take("ben", 6)
    assert (share.held, share.exhausted) == (6, 1)


def test_a_block_gives_back_what_it_took_also_after_an_error() -> None:
    share = Share("bytes", each=1, total=1)
    with pytest.raises(ZeroDivisionError), share.hold("ann"):
        raise ZeroDivisionError
    with share.hold("ann"):
        assert share.held == 1
    assert share.held == 0


async def test_callers_take_turns_however_much_one_of_them_asks_for() -> None:
    turns, order = Turns("validations", at_once=1, each=4), []

    async def work(caller: str) -> None:
        async with turns.turn(caller):
            await asyncio.sleep(0)
            order.append(caller)

    await asyncio.gather(*map(work, ["ann", "ann", "ann", "ben", "chloe", "ben"]))
    assert order == ["ann", "ann", "ben", "chloe", "ann", "ben"]


async def test_one_caller_may_not_fill_the_queue() -> None:
    turns = Turns("validations", at_once=1, each=2)
    async with turns.turn("ann"):
        waiting = asyncio.create_task(_take(turns, "ann"))
        await asyncio.sleep(0)
        with pytest.raises(OverLimit):
            await _take(turns, "ann")
        assert turns.refused == 1
    await waiting


async def test_who_stops_waiting_loses_nobody_their_turn() -> None:
    turns = Turns("validations", at_once=1, each=2)
    async with turns.turn("ann"):
        gone = asyncio.create_task(_take(turns, "ben"))
        waiting = asyncio.create_task(_take(turns, "chloe"))
        await asyncio.sleep(0)
        gone.cancel()
    await asyncio.wait_for(waiting, 1)


async def test_who_is_cancelled_when_their_turn_comes_passes_it_on() -> None:
    turns = Turns("validations", at_once=1, each=2)
    async with turns.turn("ann"):
        gone = asyncio.create_task(_take(turns, "ben"))
        waiting = asyncio.create_task(_take(turns, "chloe"))
        await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait_for(waiting, 1)


async def test_one_caller_leaves_a_turn_to_the_others() -> None:
    turns = Turns("validations", at_once=2, each=3, each_at_once=1)
    async with turns.turn("ann"):
        waiting = [asyncio.create_task(_take(turns, "ann")) for _ in range(2)]
        await asyncio.sleep(0)
        await asyncio.wait_for(_take(turns, "ben"), 1)
        assert not any(task.done() for task in waiting)
    await asyncio.wait_for(asyncio.gather(*waiting), 1)


async def test_who_waits_for_their_own_turn_holds_up_nobody() -> None:
    turns, order = Turns("validations", at_once=2, each=3, each_at_once=1), []

    async def work(caller: str) -> None:
        async with turns.turn(caller):
            await asyncio.sleep(0)
            order.append(caller)

    await asyncio.gather(*map(work, ["ann", "ann", "ann", "ben", "chloe"]))
    assert order == ["ann", "ben", "ann", "chloe", "ann"]


async def _take(turns: Turns, caller: str) -> None:
    async with turns.turn(caller):
        pass
