"""Class analytics on a real PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from msgspec.structs import asdict, replace

from monitor.database.pool import Connection
from monitor.errors import InvalidBody, NotFound
from monitor.events.event import Event
from monitor.insight import timeline
from monitor.insight.activity import ActivityInterval, ActivityQuery, class_activity
from monitor.insight.cells import CellError, CellsQuery, assignment_progress, notebook_progress
from monitor.insight.class_state import ClassStateQuery, StudentState, class_state
from monitor.insight.query import CursorPage, PageQuery
from monitor.insight.student import StudentSession, sessions, submissions
from monitor.insight.timeline import TimelineQuery, accesses, executions
from tests.support.class_views import KEYS, School, ago, make_event, open_school
from tests.support.factories import now
from tests.support.postgres import Address


@pytest.fixture
async def school(pool: asyncpg.Pool, postgres: Address) -> AsyncIterator[School]:
    async with open_school(pool, postgres) as school:
        yield school


async def test_who_did_nothing_is_idle(school: School) -> None:
    states = await school.now()
    assert list(states) == ["hanako", "taro"]
    assert asdict(states["taro"]) == {
        **dict.fromkeys(asdict(states["taro"])),
        "student_id": 2,
        "user_id": "taro",
        "state": "idle",
        "executions": 0,
        "errors": 0,
        "errors_in_a_row": 0,
        "executions_in_no_class": 0,
        "errors_in_no_class": 0,
        "verified": False,
    }


async def test_an_empty_class_is_empty_and_an_unknown_one_is_not_found(school: School) -> None:
    assert await school.now(3) == {}
    assert await school.then(now(), 3) == {}
    for view in (school.now(4), school.then(now(), 4)):
        with pytest.raises(NotFound):
            await view


async def test_a_class_shows_where_each_student_is_and_how_it_goes(school: School) -> None:
    await school.write(
        make_event(time=ago(seconds=9), cell="c1", failed=True),
        make_event(time=ago(seconds=5), cell="c2", failed=True, notebook="b/x.ipynb", cell_index=4),
        make_event(time=ago(seconds=20), cell="c3"),
        make_event(student="taro", type="notebook_open", cell=None),
        make_event(student="sensei"),
    )
    states = await school.now()
    hanako, taro = states["hanako"], states["taro"]
    assert (hanako.state, hanako.executions, hanako.errors) == ("error", 3, 2)
    assert (hanako.notebook_path, hanako.cell_id, hanako.cell_position) == ("b/x.ipynb", "c2", 4)
    assert hanako.errors_in_a_row == 2
    assert (taro.state, taro.notebook_path, taro.cell_id) == ("active", "units/lesson.ipynb", None)
    assert taro.last_heard_at is not None
    assert set(states) == {"hanako", "taro"}
    assert (await school.now(2))["hanako"].state == "idle"


async def test_errors_in_a_row_do_not_depend_on_the_order_of_arrival(school: School) -> None:
    await school.write(
        make_event(time=ago(hours=1), failed=True), make_event(time=ago(hours=3), failed=True)
    )
    assert (await school.now())["hanako"].errors_in_a_row == 2
    await school.write(make_event(time=ago(hours=2)))
    assert (await school.now())["hanako"].errors_in_a_row == 1
    await school.write(make_event(time=ago(minutes=1)))
    assert (await school.now())["hanako"].errors_in_a_row == 0
    many = [make_event(student="taro", failed=True, time=ago(minutes=n)) for n in range(120)]
    await school.write(*many)
    assert (await school.now())["taro"].errors_in_a_row == 100


async def test_who_was_not_heard_from_for_long_is_idle(school: School) -> None:
    old = {"received_at": ago(minutes=4), "time": ago(minutes=4)}
    await school.write(
        make_event(**old, failed=True), make_event(**old, student="taro", type="help")
    )
    assert [each.state for each in (await school.now()).values()] == ["error", "active"]
    states, _ = await school.read(class_state, [1], ClassStateQuery(idle_after=200))
    assert [each.state for each in states] == ["idle", "idle"]


@pytest.mark.parametrize(
    ("pressed", "received", "state"),
    [
        (1, 0, "help"),
        (29, 1, "help"),
        (40, 0, "help"),  # a clock that is behind
        (-3_600, 0, "help"),  # a clock that is ahead
        (35, 34, "active"),  # no heartbeat since
        (7_200, 0, "active"),  # out of an offline queue
        (-3_600, 34, "active"),
    ],
)
async def test_help_request_lasts_while_repeated(
    school: School, pressed: int, received: int, state: str
) -> None:
    await school.write(
        make_event(type="help", time=ago(seconds=pressed), received_at=ago(seconds=received)),
        make_event(time=ago(seconds=9_000)),
    )
    assert (await school.now())["hanako"].state == state
    await school.write(
        make_event(type="help_stop", time=ago(seconds=pressed) + timedelta(seconds=1))
    )
    assert (await school.now())["hanako"].state == "active"


def then(at: datetime, **fields: Any) -> Event:
    """What was received when it happened."""
    return make_event(time=at, received_at=at, **fields)


async def test_a_class_is_shown_as_it_was(school: School) -> None:
    await school.write(
        then(ago(days=3), cell="c9"),
        then(ago(hours=5), cell="c1", failed=True),
        then(ago(hours=4), cell="c2", failed=True, notebook="b/x.ipynb", cell_index=4),
        then(ago(hours=4) + timedelta(seconds=20), type="help", cell=None, notebook="b/x.ipynb"),
        then(ago(hours=4) + timedelta(seconds=30), type="help_stop", cell=None, notebook=None),
        then(ago(hours=3), cell="c3"),
        then(ago(hours=3), student="taro", type="notebook_open", cell=None),
        then(ago(hours=3), student="sensei"),
    )

    async def hanako(**span: float) -> StudentState:
        return (await school.then(ago(hours=4) + timedelta(**span)))["hanako"]

    before = await hanako(minutes=-1)
    assert (before.state, before.executions, before.errors) == ("idle", 2, 1)
    assert (before.notebook_path, before.cell_id) == ("units/lesson.ipynb", "c1")
    failed = await hanako(seconds=10)
    assert (failed.state, failed.executions, failed.errors, failed.errors_in_a_row) == (
        ("error", 3, 2, 2)
    )
    assert (failed.notebook_path, failed.cell_id, failed.cell_position) == ("b/x.ipynb", "c2", 4)
    assert (await hanako(seconds=25)).state == "help"
    assert (await hanako(seconds=40)).state == "error"
    later = await hanako(hours=1, seconds=10)
    assert (later.state, later.executions, later.errors_in_a_row) == ("active", 4, 0)
    states = await school.then(ago(hours=2, minutes=59))
    assert (states["taro"].state, states["taro"].notebook_path) == ("active", "units/lesson.ipynb")
    assert set(states) == {"hanako", "taro"}
    long_ago = (await school.then(datetime(1, 1, 1, tzinfo=UTC)))["hanako"]
    assert (long_ago.state, long_ago.executions, long_ago.last_heard_at) == ("idle", 0, None)


async def test_as_it_is_and_as_it_was_a_moment_ago_are_the_same(school: School) -> None:
    for number in range(60):
        at = ago(minutes=number * 7 % 61, seconds=number)
        failed = number % 3 > 0
        await school.write(then(at, failed=failed, cell=f"c{number % 5}", cell_index=number % 5))
    current, replayed = await school.now(), await school.then(now())
    assert replayed == current


async def test_a_call_that_was_resolved_is_none_from_then_on(school: School) -> None:
    calls = [then(ago(minutes=9, seconds=-10 * n), type="help") for n in range(6)]
    await school.write(then(ago(minutes=20), type="help_stop"), *calls)
    await school.pool.execute(
        "INSERT INTO help_requests"
        " (student_id, class_id, began_at, heard_at, resolved_by, resolved_at)"
        " SELECT student_id, class_id, help_at - interval '50 seconds',"
        " help_at - interval '20 seconds', 'Sato', now() - interval '510 seconds'"
        " FROM student_states"
    )

    async def state(**span: float) -> str:
        return (await school.then(ago(**span)))["hanako"].state

    assert await state(minutes=8, seconds=40) == "help"
    assert await state(minutes=8, seconds=20) == "active"
    await school.write(
        then(ago(minutes=7), type="help_stop"), then(ago(minutes=6, seconds=59), type="help")
    )
    assert await state(minutes=6, seconds=50) == "help"


async def test_a_notebook_cell_by_cell(school: School) -> None:
    name = {"error": "NameError: name 'x' is not defined", "failed": True}
    await school.write(
        make_event(cell="c1", time=ago(seconds=50), duration_ms=10, **name),
        make_event(
            cell="c1", time=ago(seconds=40), duration_ms=100, failed=True, error="KeyError: 1"
        ),
        make_event(cell="c1", time=ago(seconds=30), duration_ms=1_000),
        make_event(cell="c1", time=ago(seconds=20), duration_ms=10, **name),
        make_event(cell="c2", time=ago(seconds=10), type="cell_execution_start", cell_index=1),
        make_event(
            cell="c1",
            student="taro",
            duration_ms=10,
            **name | {"error": "NameError: name 'y' is not defined"},
        ),
        make_event(cell="c1", student="sensei", duration_ms=10, **name),
        make_event(cell="other", notebook="other.ipynb"),
    )
    notebook = await school.notebook("units/lesson.ipynb")
    progress = await school.read(notebook_progress, [1], notebook, CellsQuery(errors=1))
    assert (progress.notebook_path, progress.students) == ("units/lesson.ipynb", 2)
    first, second = progress.cells
    assert (first.cell_id, first.type, first.position) == ("c1", "code", 0)
    assert (first.reached, first.ran, first.failed, first.succeeded) == (2, 2, 2, 1)
    assert (first.executions, first.errors) == (5, 4)
    assert (first.attempts_mean, first.attempts_median) == (3.0, 3.0)
    assert first.duration_median_ms == pytest.approx(10, rel=0.05)
    assert first.duration_p90_ms == pytest.approx(1_000, rel=0.05)
    assert first.frequent_errors == [
        CellError("NameError: name … is not defined", 3, ["hanako", "taro"])
    ]
    assert (second.cell_id, second.reached, second.ran) == ("c2", 1, 0)
    assert (second.attempts_mean, second.duration_median_ms) == (None, None)
    for class_id in (2, 3):
        with pytest.raises(NotFound):
            await school.read(notebook_progress, [class_id], notebook, CellsQuery())


async def test_cells_of_what_is_unknown_are_not_found(school: School) -> None:
    await school.write(make_event())
    for class_id, notebook_id in ((9, 1), (1, 9)):
        with pytest.raises(NotFound):
            await school.read(notebook_progress, [class_id], notebook_id, CellsQuery())
    with pytest.raises(NotFound):
        await school.read(assignment_progress, 1, CellsQuery(), is_open=False)


async def test_an_assignment_is_its_notebook_in_its_class(school: School) -> None:
    await school.write(make_event(source=KEYS[2]), make_event(), make_event(student="taro"))
    notebook = await school.notebook("units/lesson.ipynb", 2)
    await school.pool.execute(
        "INSERT INTO class_assignments (class_id, notebook_id, title) VALUES (2, $1, '課題')",
        notebook,
    )
    progress = await school.read(assignment_progress, 1, CellsQuery(), is_open=False)
    assert progress == await school.read(notebook_progress, [2], notebook, CellsQuery())
    assert progress.cells[0].reached == 1


async def test_activity_is_told_interval_by_interval(school: School) -> None:
    start = datetime(2026, 3, 1, 22, 58, tzinfo=UTC)
    start = start.replace(year=ago(days=200).year, month=ago(days=200).month)
    kinds = ["cell_executed", "cell_error", "help", "cell_executed", "notebook_open"]
    await school.write(
        *(
            make_event(type=kind, time=start + timedelta(seconds=50 * n))
            for n, kind in enumerate(kinds)
        ),
        make_event(type="cell_error", student="taro", time=start + timedelta(hours=1)),
        make_event(student="sensei", time=start),
    )

    async def asked(**query: Any) -> list[ActivityInterval]:
        return await school.read(class_activity, [1], ActivityQuery(since=start, **query))

    end = start + timedelta(minutes=4)
    assert await asked(interval=60, until=end) == [
        ActivityInterval(start, 2, 1, 0),
        ActivityInterval(start + timedelta(minutes=1), 0, 0, 1, 1),
        ActivityInterval(start + timedelta(minutes=2), 1, 0, 0),
        ActivityInterval(start + timedelta(minutes=3), 0, 0, 0),
    ]
    hours = await asked(interval=3_600, until=start + timedelta(hours=1))
    assert [(each.executions, each.errors, each.helps) for each in hours] == [(2, 1, 1), (2, 1, 0)]
    assert hours[0].start == start.replace(minute=0)
    (day,) = await asked(interval=86_400, until=start + timedelta(hours=20))
    assert (day.executions, day.errors, day.helps) == (4, 2, 1)
    assert len(await school.read(class_activity, [3], ActivityQuery())) == 60


@pytest.mark.parametrize(
    "query",
    [
        {"interval": 3_660},
        {"since": datetime(2026, 1, 1, tzinfo=UTC), "until": datetime(2025, 1, 1, tzinfo=UTC)},
        {"since": datetime(2026, 1, 1, tzinfo=UTC), "until": datetime(2027, 1, 1, tzinfo=UTC)},
        {"until": datetime(1, 1, 1, tzinfo=UTC)},
    ],
)
async def test_activity_has_bounds(school: School, query: dict[str, Any]) -> None:
    with pytest.raises(InvalidBody):
        await school.read(class_activity, [1], ActivityQuery(**query))


async def timeline_of(
    connection: Connection, classes: list[int] | None, student: int, query: TimelineQuery
) -> CursorPage[timeline.Execution]:
    return await executions(connection, classes, student, query, is_open=False)


async def all_sessions(
    connection: Connection, classes: list[int] | None, student: int, query: PageQuery
) -> CursorPage[StudentSession]:
    return await sessions(connection, student, query)


async def all_of(
    view: Any, school: School, span: PageQuery, classes: list[int] | None = None
) -> list[CursorPage[Any]]:
    pages = [await school.read(view, classes, 1, span)]
    while pages[-1].next:
        page = replace(span, cursor=pages[-1].next)
        pages.append(await school.read(view, classes, 1, page))
    return pages


async def test_a_time_line_is_read_page_by_page_newest_first(school: School) -> None:
    time = now()
    events = [
        make_event(time=time - timedelta(days=20 * (n // 3)), cell=f"c{n}") for n in range(10)
    ]
    await school.write(*events, make_event(student="taro"), make_event(type="help"))
    pages = await all_of(timeline_of, school, TimelineQuery(limit=3))
    assert [len(page.items) for page in pages] == [3, 3, 3, 1]
    expected = sorted(events, key=lambda event: (event.time, event.id), reverse=True)
    assert [item.event_id for page in pages for item in page.items] == [e.id for e in expected]
    (item,) = (await school.read(timeline_of, None, 2, TimelineQuery())).items
    times = dict.fromkeys(("event_id", "executed_at", "received_at", "at"))
    assert asdict(item) | times == {
        **times,
        "class_id": 1,
        "session_id": "session-1",
        "notebook_id": 1,
        "notebook_path": "units/lesson.ipynb",
        "cell_id": "cell-1",
        "cell_position": 0,
        "cell_title": "1 + 1",
        "cell_heading": None,
        "execution_count": 1,
        "status": "success",
        "duration_ms": 1.5,
        "code": "1 + 1",
        "output": "2",
        "error": None,
        "pictures": 0,
        "output_cut": False,
        "verified": False,
        "excluded": None,
    }


@pytest.mark.parametrize("scanned", [3, 2_000])
async def test_a_time_line_is_filtered(
    school: School, scanned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "SCANNED", scanned)
    time = now()
    await school.write(
        *(
            make_event(
                time=time - timedelta(hours=n),
                notebook="rare.ipynb" if n in (1, 7) else "often.ipynb",
                failed=n in (7, 8),
                cell=None,
            )
            for n in range(11)
        )
    )
    rare = await school.notebook("rare.ipynb")

    async def hours(**filters: Any) -> list[int]:
        pages = await all_of(timeline_of, school, TimelineQuery(limit=2, **filters))
        return [(time - item.executed_at) // timedelta(hours=1) for p in pages for item in p.items]

    assert await hours(notebook_id=rare) == [1, 7]
    assert await hours(notebook_id=rare, status="error") == [7]
    assert await hours(status="error") == [7, 8]
    assert await hours(notebook_id=999) == []
    since, until = time - timedelta(hours=8), time - timedelta(hours=5)
    assert await hours(since=since, until=until) == [6, 7, 8]
    assert await hours(since=since, until=until, status="error") == [7, 8]


async def test_accesses_sessions_submissions_are_paged(school: School) -> None:
    time = now()
    for n, kind in enumerate(["notebook_open", "notebook_save", "notebook_close"]):
        at = time - timedelta(minutes=n // 2)
        await school.write(make_event(type=kind, time=at, session=f"s{n}"))
    await school.pool.execute(
        """
        INSERT INTO class_assignments (class_id, notebook_id, title) VALUES (1, 1, '課題');
        INSERT INTO assignment_submissions (assignment_id, student_id, attempt, late)
        SELECT 1, 1, n, false FROM generate_series(1, 3) AS n;
        """
    )
    pages = await all_of(accesses, school, PageQuery(limit=2))
    assert sorted(item.action for page in pages for item in page.items) == ["close", "open", "save"]
    assert pages[-1].items[0].action == "close"
    pages = await all_of(all_sessions, school, PageQuery(limit=1))
    assert [item.session_id for page in pages for item in page.items] == ["s1", "s0", "s2"]
    assert pages[0].items[0].is_active
    pages = await all_of(submissions, school, PageQuery(limit=2))
    assert [item.attempt for page in pages for item in page.items] == [3, 2, 1]
    assert pages[0].items[0].title == "課題"
    assert (await school.read(submissions, None, 2, PageQuery())).items == []


@pytest.mark.parametrize("view", [timeline_of, accesses, all_sessions, submissions])
async def test_of_an_unknown_student_nothing_is_found(school: School, view: Any) -> None:
    with pytest.raises(NotFound):
        await school.read(view, None, 99, TimelineQuery())


@pytest.mark.parametrize("cursor", ["", "x", "1", "1.x", f"{10**30}.{'0' * 32}"])
async def test_a_cursor_is_that_of_a_page(school: School, cursor: str) -> None:
    with pytest.raises(InvalidBody):
        await school.read(timeline_of, None, 1, TimelineQuery(cursor=cursor))
