"""Since when a student runs a cell: a long run, or one that waits at `input()`, is not idle."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from monitor.events.event import Event
from monitor.insight.class_state import StudentState
from monitor.insight.overview import OverviewQuery, overview
from tests.support.class_views import KEYS, School, ago, make_event, open_school
from tests.support.counters import counted
from tests.support.postgres import Address

CELLS = ("c1", "c2", "c3")


@pytest.fixture
async def school(pool: asyncpg.Pool, postgres: Address) -> AsyncIterator[School]:
    async with open_school(pool, postgres) as school:
        yield school


def happened(seconds: float, kind: str, cell: str | None = None, **fields: Any) -> Event:
    """An event of that many seconds ago, which arrived at once."""
    at = ago(seconds=seconds)
    return make_event(type=kind, time=at, received_at=at, cell=cell, **fields)


def start(seconds: float, cell: str | None = "c1", **fields: Any) -> Event:
    return happened(seconds, "cell_execution_start", cell, **fields)


def end(seconds: float, cell: str | None = "c1", **fields: Any) -> Event:
    return happened(seconds, "cell_executed", cell, **fields)


async def hanako(school: School) -> StudentState:
    """Her state now, which that of the view of the past equals."""
    state, then = (await school.now())["hanako"], (await school.then(ago(seconds=-1)))["hanako"]
    assert (state.running_since, state.running_cell_id) == (
        then.running_since,
        then.running_cell_id,
    )
    assert state.state == then.state
    return state


async def running_cell(school: School) -> str | None:
    return (await hanako(school)).running_cell_id


async def test_a_run_lasts_from_its_start_to_its_end(school: School) -> None:
    started = start(100)
    await school.write(end(200), started, happened(50, "help"), happened(40, "help_stop"))
    state = await hanako(school)
    assert (state.running_since, state.running_cell_id) == (started.time, "c1")
    await school.write(end(200, "c2"))  # of before
    assert await running_cell(school) == "c1"
    await school.write(end(10))
    state = await hanako(school)
    assert (state.running_since, state.running_cell_id) == (None, None)
    then = (await school.then(ago(seconds=60)))["hanako"]
    assert (then.running_since, then.running_cell_id) == (started.time, "c1")


async def test_who_waits_for_a_cell_is_not_idle_for_an_hour(school: School) -> None:
    await school.write(start(20 * 60, failed=True), end(21 * 60, "c0"))
    assert (await hanako(school)).state == "active"
    assert await counts(school) == (1, 0)
    await school.write(happened(19 * 60, "kernel_restarted", notebook=None))
    assert (await hanako(school)).state == "idle"
    assert await counts(school) == (0, 0)


async def counts(school: School) -> tuple[int, int]:
    """How many of class 1 are active and stuck."""
    listing = await school.read(overview, [1], OverviewQuery(), is_open=False)
    (shown,) = listing.items
    return shown.active, shown.stuck


async def test_a_run_without_a_sign_is_idle_after_an_hour_and_gone_the_next_day(
    school: School,
) -> None:
    started = start(61 * 60)
    await school.write(started)
    state = await hanako(school)
    assert (state.state, state.running_since) == ("idle", started.time)
    await school.pool.execute("UPDATE events SET event_time = event_time - interval '12 hours'")
    await school.pool.execute("SELECT recount_students(ARRAY[1])")
    assert (await hanako(school)).running_since is None


async def test_of_cells_that_are_started_together_the_last_is_waited_for(school: School) -> None:
    await school.write(*(start(100 - n / 1000, cell) for n, cell in enumerate(CELLS)))
    await school.write(end(99, "c1"))
    assert await running_cell(school) == "c3"
    await school.write(happened(50, "notebook_saved", "c1"))
    assert await running_cell(school) == "c3"
    await school.write(end(20, "c2", failed=True))  # the kernel drops the others
    assert await running_cell(school) is None


async def test_a_failure_elsewhere_ends_nothing(school: School) -> None:
    await school.write(start(100), end(50, failed=True, notebook="other.ipynb"))
    assert await running_cell(school) == "c1"


async def test_the_next_cell_may_start_in_the_moment_in_which_one_ends(school: School) -> None:
    at = ago(seconds=30)
    moment = {"time": at, "received_at": at}
    await school.write(
        start(40, "c1"),
        make_event(type="cell_executed", cell="c1", **moment),
        make_event(type="cell_execution_start", cell="c2", **moment),
    )
    assert await running_cell(school) == "c2"


@pytest.mark.parametrize(
    ("ending", "is_over"),
    [
        ({"kind": "session_end", "notebook": None}, True),
        ({"kind": "session_start", "notebook": None}, True),
        ({"kind": "kernel_restart"}, True),
        ({"kind": "kernel_restart", "notebook": "other.ipynb"}, False),
        ({"kind": "notebook_closed"}, True),
        ({"kind": "notebook_opened"}, True),
        ({"kind": "notebook_opened", "notebook": "other.ipynb"}, False),
        ({"kind": "notebook_saved"}, False),
        ({"kind": "cell_executed", "cell": "c1", "cell_type": "markdown"}, False),
        ({"kind": "cell_executed", "cell": "c1", "source": KEYS[2]}, False),
        ({"kind": "cell_executed", "cell": "c2"}, False),
    ],
)
async def test_what_else_ends_a_run(school: School, ending: dict[str, Any], is_over: bool) -> None:
    await school.write(start(100))
    await school.write(happened(50, **ending))
    assert (await running_cell(school) is None) is is_over


async def test_rendering_is_no_run(school: School) -> None:
    await school.write(start(100, cell_type="markdown"), start(90, cell_type="raw"))
    assert await running_cell(school) is None


async def test_a_run_of_an_unnamed_cell_ends_with_any(school: School) -> None:
    started = start(100, None)
    await school.write(started)
    state = await hanako(school)
    assert (state.running_since, state.running_cell_id) == (started.time, None)
    await school.write(end(50))
    assert (await hanako(school)).running_since is None


async def test_a_wrong_clock_changes_nothing(school: School) -> None:
    """The clock is an hour ahead, and then put right while the cell runs."""
    arrived = ago(seconds=100)
    early = start(100 - 3_600)
    early.received_at = arrived
    await school.write(early)
    state = await hanako(school)
    assert (state.running_since, state.running_cell_id) == (arrived, "c1")
    await school.write(end(60), start(50, "c2"), end(20, "c2"))
    assert await running_cell(school) is None


async def test_withdrawn_and_disputed_starts_are_none(school: School) -> None:
    first = start(200, "c1")
    await school.write(first, start(100, "c2"))
    await school.pool.execute(
        "UPDATE events SET excluded = 'withdrawn' WHERE event_time > $1", first.time
    )
    await school.pool.execute("SELECT recount_students(ARRAY[1])")
    state = await hanako(school)
    assert (state.running_since, state.running_cell_id) == (first.time, "c1")


async def test_counting_anew_finds_the_same_starts(school: School) -> None:
    await school.write(start(100), start(90, "c2"), end(80, "c2"))
    await school.write(start(70, None, source=KEYS[2]), start(75, "c3", source=KEYS[2]))
    await school.reads.ensure_counted()
    before = await counted(school.pool)
    await school.pool.execute("SELECT recount_students(ARRAY[1, 2])")
    assert await counted(school.pool) == before
