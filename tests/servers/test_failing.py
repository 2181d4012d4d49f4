"""Since when a student fails at one cell: who is stuck there."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from monitor.events.event import Event
from monitor.insight.class_state import StudentState
from monitor.insight.overview import OverviewQuery, overview
from tests.support.class_views import School, ago, make_event, open_school
from tests.support.postgres import Address


@pytest.fixture
async def school(pool: asyncpg.Pool, postgres: Address) -> AsyncIterator[School]:
    async with open_school(pool, postgres) as school:
        yield school


def run(minutes: float, cell: str | None, *, failed: bool = False, ahead: int = 0) -> Event:
    """A run of so many minutes ago, by a clock that is `ahead` by as many hours."""
    at = ago(minutes=minutes)
    time = at + timedelta(hours=ahead)
    return make_event(cell=cell, failed=failed, time=time, received_at=at)


async def hanako(school: School) -> StudentState:
    """Her state now, which that of the view of the past equals."""
    state, then = (await school.now())["hanako"], (await school.then(ago(seconds=-1)))["hanako"]
    assert (state.failing_since, state.failing_cell_id) == (
        then.failing_since,
        then.failing_cell_id,
    )
    return state


async def stuck(school: School) -> int:
    query = OverviewQuery(idle_after=3_600)
    listing = await school.read(overview, [1], query, is_open=False)
    return listing.items[0].stuck


async def test_who_fails_at_one_cell_after_another_is_not_stuck_at_once(school: School) -> None:
    first, next_ = run(6, "c1", failed=True), run(0, "c2", failed=True)
    await school.write(first)
    assert ((await hanako(school)).failing_since, await stuck(school)) == (first.time, 1)
    await school.write(next_)
    state = await hanako(school)
    assert (state.failing_since, state.failing_cell_id) == (next_.time, "c2")
    assert (state.errors_in_a_row, await stuck(school)) == (2, 0)


async def test_imports_that_are_run_before_each_attempt_are_no_success(school: School) -> None:
    attempts = [run(minutes, "c1", failed=True) for minutes in (6, 3, 0.5)]
    await school.write(*attempts, *(run(minutes, "c0") for minutes in (7, 4, 1)))
    state = await hanako(school)
    assert (state.failing_since, state.errors_in_a_row) == (attempts[0].time, 1)
    assert await stuck(school) == 1
    await school.write(run(0.2, "c0"))
    assert (await hanako(school)).failing_since is None
    assert await stuck(school) == 0


async def test_a_success_ends_what_failed_in_its_cell(school: School) -> None:
    again = run(2, "c1", failed=True)
    await school.write(run(8, "c1", failed=True), run(7, "c1"), again)
    assert (await hanako(school)).failing_since == again.time
    await school.write(run(1, "c1"))
    assert (await hanako(school)).failing_since is None


async def test_cells_without_an_id_are_one(school: School) -> None:
    first = run(6, None, failed=True)
    await school.write(first, run(1, None, failed=True))
    state = await hanako(school)
    assert (state.failing_since, state.failing_cell_id) == (first.time, None)


async def test_an_earlier_lesson_says_nothing(school: School) -> None:
    today = run(1, "c1", failed=True)
    await school.write(run(200, "c1", failed=True), today)
    assert (await hanako(school)).failing_since == today.time


async def test_a_clock_that_is_ahead_changes_nothing(school: School) -> None:
    await school.write(run(20, "c0", ahead=5))
    await school.write(run(6, "c1", failed=True, ahead=5), run(1, "c1", failed=True, ahead=5))
    since = (await hanako(school)).failing_since
    assert since is not None
    assert abs(since - ago(minutes=6)) < timedelta(seconds=10)
