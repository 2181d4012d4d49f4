"""When a call for help begins, lasts and ends, whatever the order in which its events arrive."""

import json
import random
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import pytest

from monitor.errors import Conflict
from monitor.events.event import Event
from monitor.insight.activity import ActivityQuery, class_activity
from monitor.insight.help_queue import HelpQuery, HelpRequest, help_queue
from monitor.lms import help_requests
from monitor.lms.help_requests import HelpChange
from tests.support.class_views import School, ago, make_event, open_school
from tests.support.postgres import Address

GAP = timedelta(minutes=3)


@pytest.fixture
async def school(pool: asyncpg.Pool, postgres: Address) -> AsyncIterator[School]:
    async with open_school(pool, postgres) as school:
        yield school


class Mark(NamedTuple):
    """What bears on calls: `kind` is help, help_stop, session_start or settled."""

    at: datetime
    kind: str
    session: str = "session-1"


class PlainCall(NamedTuple):
    began_at: datetime
    is_settled: bool


def plain_calls(marks: Iterable[Mark]) -> list[PlainCall]:
    """The calls of a student, looking at one mark after the other."""
    calls: list[PlainCall] = []
    last: Mark | None = None
    heard: set[str] = set()  # sessions of the calls without a pause in between
    for mark in sorted(marks):
        if mark.kind == "session_start":
            heard.discard(mark.session)
            continue
        if mark.kind == "settled" and calls:
            calls[-1] = PlainCall(calls[-1].began_at, is_settled=True)
        if mark.kind == "help":
            is_first = last is None or last.kind == "help_stop" or mark.at - last.at > GAP
            if is_first:
                heard.clear()
            if is_first or not calls or (calls[-1].is_settled and mark.session not in heard):
                calls.append(PlainCall(mark.at, is_settled=False))
            heard.add(mark.session)
        last = mark
    return calls


async def stored_calls(school: School) -> list[PlainCall]:
    rows = await school.pool.fetch(
        "SELECT * FROM calls_for_help(1, '{1}', now() - interval '1 day', now(), now(), 0, 0)"
        " ORDER BY began_at"
    )
    return [PlainCall(*row) for row in rows]


def sign(mark: Mark) -> Event:
    return make_event(
        type=mark.kind, time=mark.at, received_at=mark.at, session=mark.session, cell=None
    )


def lesson(seed: int) -> list[Mark]:
    """Some hours of a student who presses the button, reloads the page, is settled, stops."""
    chance = random.Random(seed)
    at, session, heard_at = ago(hours=6), "session-1", None
    marks = []
    for _ in range(60):
        at += timedelta(seconds=chance.choice([10, 10, 10, 20, 100, 170, 190, 600]))
        kind = chance.choices(["help", "help_stop", "session_start", "settled"], [8, 1, 1, 2])[0]
        if kind == "settled":
            if heard_at is not None:
                marks.append(Mark(heard_at + timedelta(milliseconds=1), kind))
            heard_at = None
            continue
        if chance.random() < 0.1:
            session = f"session-{chance.randrange(3)}"
        marks.append(Mark(at, kind, session))
        heard_at = at if kind == "help" else None
    return marks


@pytest.mark.parametrize("seed", range(6))
async def test_calls_do_not_depend_on_the_order_of_arrival(school: School, seed: int) -> None:
    marks = lesson(seed)
    events = [sign(mark) for mark in marks if mark.kind != "settled"]
    await school.pool.executemany(
        "INSERT INTO help_requests"
        " (student_id, class_id, began_at, heard_at, resolved_by, resolved_at)"
        " VALUES (1, 1, $1, $1, 'Sato', $1)",
        [(mark.at,) for mark in marks if mark.kind == "settled"],
    )
    arriving = [*events, *random.Random(seed).sample(events, 10)]  # some of them twice
    random.Random(seed + 100).shuffle(arriving)
    for first in range(0, len(arriving), 7):
        await school.write(*arriving[first : first + 7])
    calls = await stored_calls(school)
    assert calls == plain_calls(marks)
    assert len(calls) > 3
    await school.pool.execute("SELECT recount_students('{1}')")
    assert await stored_calls(school) == calls
    # Without those that have been withdrawn it is as if they had never been sent.
    gone = events[::5]
    await school.pool.execute(
        "UPDATE events SET excluded = 'withdrawn' WHERE event_id = ANY ($1)",
        [event.id for event in gone],
    )
    times = {event.time for event in gone}
    assert await stored_calls(school) == plain_calls(mark for mark in marks if mark.at not in times)


class Caller(NamedTuple):
    """The student hanako, by times in seconds before the start of the test."""

    school: School
    start: datetime

    def ago(self, seconds: float) -> datetime:
        return self.start - timedelta(seconds=seconds)

    async def call(self, *seconds: float, kind: str = "help", **fields: Any) -> None:
        """Events at these times, received at once."""
        for each in seconds:
            at = self.ago(each)
            event = make_event(type=kind, time=at, received_at=at, cell=None, **fields)
            await self.school.write(event)

    async def queue(self, **query: Any) -> list[HelpRequest]:
        return (await self.school.read(help_queue, [1], HelpQuery(**query))).items

    async def act(self, action: help_requests.Action, name: str = "Sato") -> HelpChange:
        async with self.school.pool.acquire() as connection, connection.transaction():
            return (await help_requests.act(connection, [1], 1, action, name)).change

    async def undo(self, name: str = "Sato") -> HelpChange:
        async with self.school.pool.acquire() as connection, connection.transaction():
            return (await help_requests.undo(connection, [1], 1, name)).change

    async def waits(self) -> float | None:
        """When the open call began; None if there is none."""
        for request in await self.queue():
            return (self.start - request.asked_at).total_seconds()
        return None


@pytest.fixture
def hanako(school: School) -> Caller:
    return Caller(school, ago())


async def test_heartbeats_after_it_was_settled_show_nothing(hanako: Caller) -> None:
    await hanako.call(60, 50, 40, 20)
    assert await hanako.waits() == 60
    await hanako.act("resolve")
    assert await hanako.waits() is None
    await hanako.call(10, 0)
    assert await hanako.waits() is None
    assert (await hanako.school.now())["hanako"].state == "active"


async def test_the_state_says_when_a_button_that_is_on_was_heard(hanako: Caller) -> None:
    assert (await hanako.school.now())["hanako"].called_at is None
    await hanako.call(60, 50)
    assert (await hanako.school.now())["hanako"].called_at == hanako.ago(50)
    await hanako.call(20)
    await hanako.act("resolve")
    assert (await hanako.school.now())["hanako"].called_at == hanako.ago(20)
    await hanako.call(5, kind="help_stop")
    assert (await hanako.school.now())["hanako"].called_at is None


async def test_a_call_that_lasts_for_days_is_the_same_call(hanako: Caller) -> None:
    beginning = 30 * 3_600
    await beat(hanako, beginning, 0)
    assert await hanako.waits() == beginning
    (request,) = await hanako.queue()
    assert request.calls == 1
    await hanako.act("resolve")
    await hanako.school.pool.execute(
        "UPDATE help_requests SET heard_at = $1, resolved_at = $1",
        hanako.ago(beginning - 3_600),
    )
    assert await hanako.waits() is None
    assert (await hanako.school.now())["hanako"].state == "active"


async def test_a_pause_before_the_last_half_day_begins_a_new_call(hanako: Caller) -> None:
    await beat(hanako, 30 * 3_600, 20 * 3_600)
    await beat(hanako, 20 * 3_600 - 200, 0)
    assert await hanako.waits() == 20 * 3_600 - 200


async def test_a_button_that_stays_on_is_read_once_and_not_pause_by_pause(hanako: Caller) -> None:
    """A block has some 40 heartbeats; each three minutes were looked up in each partition."""
    pool = hanako.school.pool
    await pool.execute("SELECT ensure_partitions(now() - interval '4 months', now())")
    beginning = 30 * 3_600
    await beat(hanako, beginning, 0, every=10)
    assert await hanako.waits() == beginning
    heartbeats = await pool.fetchval("SELECT count(*) FROM events WHERE event_type = 'help'")
    assert heartbeats == 10_801
    assert await blocks(pool, _CALLS_NOW) < heartbeats / 10


async def test_two_sessions_that_call_for_days_are_one_settled_call(hanako: Caller) -> None:
    for session, first in (("session-1", 30 * 3_600), ("session-2", 28 * 3_600)):
        await beat(hanako, first, 0, session=session)
    await hanako.act("resolve")
    settled = hanako.ago(20 * 3_600)
    pool = hanako.school.pool
    await pool.execute("UPDATE help_requests SET heard_at = $1, resolved_at = $1", settled)
    assert await hanako.waits() is None
    await beat(hanako, 15 * 3_600, 0, session="session-3")
    assert await hanako.waits() == 15 * 3_600


async def blocks(pool: asyncpg.Pool, query: str) -> int:
    """How many blocks the query reads."""
    plan = await pool.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}")
    (explained,) = json.loads(plan)
    read: int = explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"]
    return read


async def beat(caller: Caller, first: int, last: int, *, every: int = 100, **fields: Any) -> None:
    """Heartbeats each 100 s, by times in seconds before the start of the test."""
    times = [caller.ago(seconds) for seconds in range(first, last - 1, -every)]
    events = [make_event(type="help", time=at, received_at=at, cell=None, **fields) for at in times]
    for start in range(0, len(events), 4_000):
        await caller.school.write(*events[start : start + 4_000])


@pytest.mark.parametrize("months", [-3, 3])
async def test_a_clock_that_was_months_off_makes_nobody_read_far_back(
    hanako: Caller, months: int
) -> None:
    pool = hanako.school.pool
    await pool.execute("SELECT ensure_partitions(now() - interval '4 months', now())")
    await beat(hanako, 90 * 86_400, 85 * 86_400)  # of another time
    await beat(hanako, 300, 0)

    async def buffers() -> int:
        await hanako.queue()
        return await blocks(pool, _CALLS_NOW)

    before = await buffers()
    offset = "greatest_offset" if months > 0 else "least_offset"
    await pool.execute(
        f"UPDATE student_states SET {offset} = $1",
        int(timedelta(days=30 * months) / timedelta(microseconds=1)),
    )
    assert await hanako.waits() == 300
    assert await buffers() < before + 20  # of what 4,000 heartbeats take


_CALLS_NOW = """
    SELECT c.* FROM student_states AS s CROSS JOIN LATERAL calls_for_help(
        s.student_id, '{1}', s.help_at - interval '12 hours', s.help_at, now(),
        LEAST(s.least_offset, 0), GREATEST(s.greatest_offset, 0)
    ) AS c
"""


async def test_a_reload_after_it_was_settled_begins_a_new_call(hanako: Caller) -> None:
    await hanako.call(60, 50, 40)
    await hanako.act("resolve")
    await hanako.call(30)
    await hanako.call(20, 10, 0, session="session-2")
    assert await hanako.waits() == 20
    assert (await hanako.school.now())["hanako"].state == "help"
    await hanako.act("take")
    await hanako.act("resolve")
    await hanako.call(0, session="session-2")
    assert await hanako.waits() is None


async def test_a_session_that_starts_again_begins_a_new_call(hanako: Caller) -> None:
    await hanako.call(60, 50)
    await hanako.act("resolve")
    await hanako.call(40, kind="session_start", session="session-9")  # of another tab
    await hanako.call(30)
    assert await hanako.waits() is None
    await hanako.call(20, kind="session_start")
    await hanako.call(10, 0)
    assert await hanako.waits() == 10


async def test_three_minutes_without_a_sign_begin_a_new_call(hanako: Caller) -> None:
    await hanako.call(400, 390)
    await hanako.act("resolve")
    await hanako.call(250)
    assert await hanako.waits() is None
    await hanako.call(60, 10, 0)
    assert await hanako.waits() == 60


async def test_a_reload_while_waiting_keeps_the_place_in_the_queue(hanako: Caller) -> None:
    await hanako.call(100, 90)
    await hanako.call(20, 10, 0, session="session-2")
    assert await hanako.waits() == 100


async def test_a_call_that_came_back_after_an_hour_begins_anew(hanako: Caller) -> None:
    await hanako.call(4_000, 3_990, 10, 0)
    assert await hanako.waits() == 10
    (request,) = await hanako.queue()
    assert request.calls == 2
    (request,) = await hanako.queue(since=hanako.ago(300))
    assert request.calls == 1


async def test_heartbeats_that_arrive_late_lengthen_the_wait(hanako: Caller) -> None:
    await hanako.call(0)
    await hanako.act("take")
    await hanako.call(300, 200, 100)
    assert await hanako.waits() == 300
    (request,) = await hanako.queue()
    assert request.taken_by == "Sato"
    await hanako.act("resolve")
    assert await hanako.waits() is None
    await hanako.call(400)
    assert await hanako.waits() is None


async def test_a_request_goes_back_into_the_queue_at_its_place(hanako: Caller) -> None:
    await hanako.call(60, 0)
    with pytest.raises(Conflict, match="Nobody has taken"):
        await hanako.act("return")
    taken = await hanako.act("take")
    assert (taken.status, taken.taken_by, taken.taken_at) == ("taken", "Sato", taken.at)
    returned = await hanako.act("return", "Suzuki")
    assert (returned.status, returned.name, returned.taken_by) == ("waiting", "Suzuki", None)
    (request,) = await hanako.queue()
    assert request.taken_by is None
    assert await hanako.waits() == 60
    with pytest.raises(Conflict, match="Nobody has taken"):
        await hanako.act("return")
    assert (await hanako.act("take", "Tanaka")).taken_by == "Tanaka"


async def test_each_change_is_undone_by_who_made_it(hanako: Caller) -> None:
    await hanako.call(10, 0)
    taken = await hanako.act("take")
    await hanako.act("resolve")
    with pytest.raises(Conflict, match="Suzuki has done nothing"):
        await hanako.undo("Suzuki")
    undone = await hanako.undo()
    assert (undone.status, undone.taken_by, undone.taken_at) == ("taken", "Sato", taken.at)
    await hanako.act("return")
    assert (await hanako.undo()).status == "taken"
    assert (await hanako.undo()).status == "waiting"
    with pytest.raises(Conflict, match="has done nothing"):
        await hanako.undo()
    assert await hanako.waits() == 10


async def test_nothing_is_undone_later(hanako: Caller) -> None:
    await hanako.call(10, 0)
    await hanako.act("resolve")
    await hanako.school.pool.execute(
        "UPDATE help_requests SET resolved_at = now() - interval '1 minute'"
    )
    with pytest.raises(Conflict, match="past 15 s"):
        await hanako.undo()


async def test_answers_follow_a_student_into_another_id(hanako: Caller) -> None:
    await hanako.call(20, 10)
    await hanako.act("take")
    await hanako.act("return", "Suzuki")
    before = await hanako.school.pool.fetchrow("SELECT * FROM help_requests")
    await hanako.school.pool.execute("SELECT merge_students(1, 2)")
    (after,) = await hanako.school.pool.fetch("SELECT * FROM help_requests")
    assert {**after} == {**before, "student_id": 2}


async def test_an_earlier_time_shows_a_call_that_a_reload_began(hanako: Caller) -> None:
    await hanako.call(600, 590, 580)
    await hanako.act("resolve")
    await hanako.school.pool.execute(
        "UPDATE help_requests SET resolved_at = heard_at + interval '5 s'"
    )
    await hanako.call(570, 560)
    await hanako.call(550, 540, session="session-2")

    async def state(seconds: float) -> str:
        return (await hanako.school.then(hanako.ago(seconds)))["hanako"].state

    assert [await state(seconds) for seconds in (578, 565, 545)] == ["help", "active", "help"]


async def test_that_the_error_has_been_solved_since_is_said(hanako: Caller) -> None:
    async def run(seconds: float, cell: str, **fields: Any) -> datetime:
        at = hanako.ago(seconds)
        await hanako.school.write(make_event(time=at, received_at=at, cell=cell, **fields))
        return at

    await run(90, "c1")
    await run(80, "c1", failed=True, error="KeyError: 1", code="d[1]")
    await run(70, "c2")
    await hanako.call(60, 0)
    (request,) = await hanako.queue()
    assert request.last_error is not None
    assert (request.last_error.code, request.last_error.solved_at) == ("d[1]", None)
    solved_at = await run(20, "c1", code="d[2]")
    await run(10, "c1", code="d[3]")
    (request,) = await hanako.queue()
    assert request.last_error is not None
    assert (request.last_error.error, request.last_error.solved_at) == ("KeyError: 1", solved_at)


async def test_activity_counts_who_waits_and_not_the_signals(hanako: Caller) -> None:
    start = (hanako.start - timedelta(minutes=20)).replace(second=0, microsecond=0)

    def second(minute: float) -> float:
        return (hanako.start - start).total_seconds() - 60 * minute

    await hanako.call(*(second(minute / 6) for minute in range(6, 6 * 8)))  # minutes 1 to 7
    await hanako.call(second(3.1), second(3.3), student="taro")
    await hanako.act("resolve")
    settled = [start + timedelta(minutes=3.5), start + timedelta(minutes=3.4)]
    await hanako.school.pool.execute(
        "UPDATE help_requests SET resolved_at = $1, heard_at = $2", *settled
    )
    await hanako.call(second(8.2), kind="help_stop")
    await hanako.call(second(9.5))  # another call, within three minutes

    async def waiting(before: timedelta = timedelta(0), **query: Any) -> list[int]:
        until = start + timedelta(minutes=12)
        asked = ActivityQuery(since=start - before, until=until, **query)
        return [each.waiting for each in await hanako.school.read(class_activity, [1], asked)]

    assert await waiting(interval=60) == [0, 1, 1, 2, 0, 0, 0, 0, 0, 1, 0, 0]
    assert await waiting(interval=240) == [2, 0, 1]
    # Longer ones read no events: how many had the button on.
    assert max(await waiting(interval=3_600)) == 2
    assert (await waiting(timedelta(hours=32), interval=240))[-4:] == [0, 2, 1, 1]
    await hanako.school.pool.execute("UPDATE help_requests SET resolved_at = NULL")
    assert await waiting(interval=60) == [0, 1, 1, 2, 1, 1, 1, 1, 0, 1, 0, 0]
