"""Times that are absurd by PostgreSQL's clock: the first judgement stands, at every replica."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from monitor.events.event import Event
from tests.support.factories import deadline_soon, make_event, now
from tests.support.sinks import retry_of, sink_on

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


async def stored_times(pool: asyncpg.Pool) -> list[datetime]:
    rows = await pool.fetch("SELECT executed_at FROM cell_executions ORDER BY executed_at")
    return [row["executed_at"] for row in rows]


async def write(pool: asyncpg.Pool, event: Event) -> None:
    """At a replica of its own, which remembers nothing."""
    await sink_on(pool).write([event], deadline_soon())


@pytest.mark.parametrize(
    "said",
    [
        -400 * DAY - 60 * SECOND,
        DAY + 60 * SECOND,
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, tzinfo=UTC),
    ],
)
async def test_an_absurd_time_gives_way_to_the_receipt_and_is_kept(
    pool: asyncpg.Pool, said: datetime | timedelta
) -> None:
    claim = now() + said if isinstance(said, timedelta) else said
    event = make_event(time=claim, metadata='{"eventTime":"its own"}')
    await write(pool, event)
    assert await stored_times(pool) == [event.received_at]
    metadata = json.loads(await pool.fetchval("SELECT metadata FROM cell_executions"))
    assert metadata["metadata"] == {"eventTime": "its own"}
    assert datetime.fromisoformat(metadata["eventTime"]) == claim


@pytest.mark.parametrize("away", [60 * SECOND - 400 * DAY, DAY - 60 * SECOND, -9 * DAY])
async def test_a_time_within_the_borders_is_believed(pool: asyncpg.Pool, away: timedelta) -> None:
    event = make_event(time=now() + away)
    await write(pool, event)
    assert await stored_times(pool) == [event.time]


@pytest.mark.parametrize("border", [-400 * DAY, DAY])
async def test_a_retry_that_comes_across_the_border_is_the_same_event(
    pool: asyncpg.Pool, border: timedelta
) -> None:
    """Usable at first and absurd a second later, or the other way round."""
    first = make_event(time=now() + border + 0.7 * SECOND)
    claim = first.time
    await write(pool, first)
    await asyncio.sleep(1.0)
    retry = retry_of(first, time=claim, received_at=now())
    written = await sink_on(pool).write([retry], deadline_soon())
    assert written.duplicates == [0]
    assert await stored_times(pool) == [first.time]


async def test_a_time_that_was_absurd_stays_so_for_its_retry_a_day_later(
    pool: asyncpg.Pool,
) -> None:
    """As if the first attempt had come 26 hours ago, with a clock that is a day ahead."""
    claim, received_at = now() + timedelta(hours=1), now() - timedelta(hours=26)
    first = make_event(time=claim, received_at=received_at)
    await write(pool, make_event(student="hanako", type="help"))
    student = await pool.fetchval("SELECT id FROM students")
    await pool.execute(
        "INSERT INTO first_receipts VALUES ($1, $2, $3, $3)", student, first.id, received_at
    )
    await write(pool, first)
    assert first.time == received_at
    assert await stored_times(pool) == [received_at]


async def test_a_replica_whose_clock_is_days_behind_stores_each_event_once(
    pool: asyncpg.Pool,
) -> None:
    events = [make_event(time=now() - n * SECOND) for n in range(5)]
    for event in events:
        await write(pool, event)
        await write(pool, retry_of(event, received_at=event.received_at - 2 * DAY))
    assert len(await stored_times(pool)) == 5
