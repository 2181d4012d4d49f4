"""What a class's views show of what was done in it, in another class and in none."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from msgspec import UnsetType

from monitor.auth.call import Call
from monitor.auth.permissions import THEIRS, Permission
from monitor.auth.principal import Principal
from monitor.database.pool import Connection, Database
from monitor.errors import Conflict, Forbidden, NotFound
from monitor.events.event import NO_SOURCE, Source
from monitor.http.snapshots import Snapshots
from monitor.http.transactions import Transactions
from monitor.insight.activity import ActivityQuery, class_activity
from monitor.insight.cells import CellsQuery, notebook_progress
from monitor.insight.class_state import ClassStateQuery, class_state
from monitor.insight.heatmap import StudentCellsQuery, student_cells
from monitor.insight.help_queue import HelpQuery, help_queue
from monitor.insight.overview import ClassOverview, OverviewQuery, overview
from monitor.insight.query import PageQuery
from monitor.insight.radar import RadarQuery, error_radar
from monitor.insight.timeline import Execution, TimelineQuery, accesses, executions
from monitor.lms import help_requests
from monitor.pipeline.messages import ExecutionUpdate, Messages, shown
from tests.support.class_views import KEYS, School, ago, make_event, open_school
from tests.support.postgres import Address


@pytest.fixture
async def school(pool: asyncpg.Pool, postgres: Address) -> AsyncIterator[School]:
    async with open_school(pool, postgres) as school:
        yield school


async def callers(school: School, *class_ids: int) -> list[str]:
    queue = await school.read(help_queue, list(class_ids or [1]), HelpQuery())
    return [each.user_id for each in queue.items]


async def timeline(school: School, classes: list[int] | None, **query: Any) -> list[Execution]:
    page = await school.read(executions, classes, 1, TimelineQuery(**query), is_open=False)
    return page.items


async def test_a_markdown_cell_is_a_place_and_nothing_else(school: School) -> None:
    failures = [
        make_event(time=ago(seconds=9 - n), cell="c1", failed=True, error="KeyError: 1")
        for n in range(4)
    ]
    await school.write(*failures)
    await school.write(make_event(cell="text", cell_type="markdown", cell_index=7))
    for states in (await school.now(), await school.then(ago(seconds=-1))):
        hanako = states["hanako"]
        assert (hanako.state, hanako.errors_in_a_row) == ("error", 4)
        assert (hanako.executions, hanako.errors) == (4, 4)
        assert (hanako.cell_id, hanako.cell_position) == ("text", 7)
    notebook = await school.notebook("units/lesson.ipynb")
    progress = await school.read(notebook_progress, [1], notebook, CellsQuery())
    (text,) = (cell for cell in progress.cells if cell.cell_id == "text")
    assert (text.reached, text.ran, text.succeeded, text.executions) == (1, 0, 0, 0)
    intervals = await school.read(class_activity, [1], ActivityQuery(interval=3_600))
    assert sum(each.executions for each in intervals) == 4
    assert (await timeline(school, None))[0].status == "rendered"


@pytest.mark.parametrize("excluded", ["disputed", "withdrawn"])
async def test_excluded_rows_are_in_the_timeline_only(school: School, excluded: str) -> None:
    failure = {"failed": True, "error": "KeyError: 1"}
    await school.write(
        make_event(time=ago(seconds=8), cell="kept"),
        make_event(time=ago(seconds=5), received_at=ago(seconds=5), cell="cell-9", **failure),
        make_event(time=ago(seconds=4), type="help", cell=None),
        make_event(time=ago(seconds=3), type="notebook_open", cell=None),
    )
    for table, rows in (
        ("cell_executions", "status = 'error'"),
        ("events", "true"),
        ("notebook_accesses", "true"),
    ):
        await school.pool.execute(f"UPDATE {table} SET excluded = $1 WHERE {rows}", excluded)
    assert (await school.read(error_radar, [1], RadarQuery())).groups == []
    before = (await school.then(ago(seconds=2)))["hanako"]
    assert (before.state, before.errors_in_a_row, before.cell_id) == ("active", 0, "kept")
    failed, kept = await timeline(school, None)
    assert (failed.cell_id, failed.excluded) == ("cell-9", excluded)
    assert (kept.cell_id, kept.excluded) == ("kept", None)
    (opened,) = (await school.read(accesses, None, 1, PageQuery())).items
    assert opened.excluded == excluded


async def test_only_students_on_the_roster_now_are_shown(school: School) -> None:
    failure = {"failed": True, "error": "KeyError: 1"}
    await school.write(
        *(make_event(student=name, **failure) for name in ("hanako", "taro", "sensei")),
        *(make_event(student=name, type="help") for name in ("hanako", "taro", "sensei")),
    )
    notebook = await school.notebook("units/lesson.ipynb")

    async def shown() -> set[str]:
        cells, _ = await school.read(student_cells, [1], notebook, StudentCellsQuery())
        (group,) = (await school.read(error_radar, [1], RadarQuery())).groups
        users = set(await callers(school))
        assert users == set(await school.now()) == set(group.students)
        assert {each.student_id for each in cells} == {
            row["id"]
            for row in await school.pool.fetch(
                "SELECT id FROM students WHERE user_id = ANY ($1)", list(users)
            )
        }
        return users

    assert await shown() == {"hanako", "taro"}
    await school.pool.execute("UPDATE student_classes SET role = 'waiting' WHERE student_id = 2")
    assert await shown() == {"hanako"}
    await school.pool.execute("UPDATE student_classes SET role = 'student' WHERE student_id = 2")
    await school.pool.execute("DELETE FROM student_classes WHERE student_id = 1")
    assert await shown() == {"taro"}


async def test_a_cell_that_only_the_teacher_ran_is_listed(school: School) -> None:
    await school.write(
        make_event(student="sensei", cell="shown", cell_index=2),
        make_event(student="visitor", cell="hidden", source=NO_SOURCE),
        make_event(cell="run", cell_index=1),
    )
    notebook = await school.notebook("units/lesson.ipynb")
    cells = (await school.read(notebook_progress, [1], notebook, CellsQuery())).cells
    assert [(each.cell_id, each.reached) for each in cells] == [("run", 1), ("shown", 0)]


async def test_names_are_the_rosters_then_the_records_then_claimed(school: School) -> None:
    await school.write(
        make_event(name="claimed", team="claimed team"),
        make_event(name="in class B", source=KEYS[2]),
        make_event(student="taro", name="\u200b \u3000"),
    )

    async def shown(user: str = "hanako", class_id: int = 1) -> tuple[str | None, str | None]:
        state = (await school.now(class_id))[user]
        return state.name, state.team

    assert await shown() == ("claimed", "claimed team")
    assert await shown(class_id=2) == ("in class B", None)
    assert await shown("taro") == (None, None)
    await school.pool.execute(
        "UPDATE students SET name = 'record', team = 'record team' WHERE id = 1"
    )
    assert await shown() == ("record", "claimed team")
    assert await shown(class_id=2) == ("record", "record team")
    await school.pool.execute(
        "UPDATE student_classes SET name = 'roster', team = 'roster team' WHERE class_id = 1"
    )
    assert await shown() == ("roster", "roster team")
    assert await shown("taro") == ("roster", "roster team")
    assert await shown(class_id=2) == ("record", "record team")
    await school.pool.execute("UPDATE student_classes SET name = E'\\u2060' WHERE class_id = 1")
    assert await shown() == ("record", "roster team")


async def test_live_messages_have_the_names_of_the_class(school: School) -> None:
    async def sent() -> list[str | UnsetType | None]:
        stored = await school.write(make_event())
        (message,) = Messages(is_open=False).of(stored)
        assert isinstance(message.data, ExecutionUpdate)
        student = (await school.now())["hanako"]
        assert (message.data.name, message.data.team) == (student.name, student.team)
        return [message.data.name, message.data.team]

    assert await sent() == [None, None]
    await school.pool.execute("UPDATE students SET team = 'record team' WHERE id = 1")
    assert await sent() == [None, "record team"]
    await school.write(make_event(name="claimed", team="claimed team"))
    assert await sent() == ["claimed", "claimed team"]
    await school.pool.execute("UPDATE student_classes SET team = 'roster team' WHERE class_id = 1")
    assert await sent() == ["claimed", "roster team"]


async def test_live_messages_and_views_agree_on_which_characters_are_visible(
    school: School,
) -> None:
    surrogates = range(0xD800, 0xE000)
    characters = [chr(each) for each in range(1, 0x30000) if each not in surrogates]
    visible = await school.pool.fetch(
        "SELECT name FROM unnest($1::text[]) AS name WHERE shown(name) IS NOT NULL", characters
    )
    assert [each for each in characters if shown(each)] == [row["name"] for row in visible]
    assert not any(map(shown, " \t\u3000\u200b\u1680\u3164"))


async def test_a_class_of_an_open_server_has_what_was_done_in_none(school: School) -> None:
    failure = {"failed": True, "error": "KeyError: 'a'", "cell": "c1"}
    await school.write(
        make_event(time=ago(minutes=5), source=NO_SOURCE, cell="c1", notebook="./a.ipynb"),
        make_event(
            time=ago(minutes=4), source=NO_SOURCE, notebook="a.ipynb", name="early", **failure
        ),
        make_event(time=ago(minutes=3), notebook="a.ipynb", name="late", **failure),
        make_event(time=ago(minutes=2), source=NO_SOURCE, notebook="b.ipynb", cell="c5"),
        make_event(
            time=ago(seconds=0), source=NO_SOURCE, notebook="b.ipynb", cell="c6", failed=True
        ),
    )
    assert (await school.now())["hanako"].executions == 1
    for states in (await school.now(1, 0), await school.then(ago(seconds=-1), 1, 0)):
        hanako = states["hanako"]
        assert (hanako.executions, hanako.errors, hanako.errors_in_a_row) == (5, 3, 1)
        assert (hanako.notebook_path, hanako.cell_id, hanako.name) == ("b.ipynb", "c6", "late")
    notebook = await school.notebook("a.ipynb")
    (cell,) = (await school.read(notebook_progress, [1, 0], notebook, CellsQuery())).cells
    assert (cell.reached, cell.executions, cell.errors, cell.attempts_mean) == (1, 3, 2, 1.0)
    (error,) = cell.frequent_errors
    assert (error.count, error.students) == (2, ["hanako"])
    in_none = await school.notebook("a.ipynb", 0)
    (same,) = (await school.read(notebook_progress, [1, 0], in_none, CellsQuery())).cells
    assert same == cell
    (group, _) = (await school.read(error_radar, [1, 0], RadarQuery())).groups
    assert (group.notebook_id, group.cell_id, group.count) == (notebook, "c1", 2)
    intervals = await school.read(class_activity, [1, 0], ActivityQuery(interval=3_600))
    assert sum(each.executions for each in intervals) == 5
    (item,) = await timeline(school, [1])
    assert item.class_id == 1
    assert [each.class_id for each in await timeline(school, None)] == [None, None, 1, None, None]
    assert len(await timeline(school, None, notebook_id=notebook)) == 1
    page = await school.read(executions, None, 1, TimelineQuery(notebook_id=notebook), is_open=True)
    assert len(page.items) == 3


async def test_a_class_without_a_notebook_of_its_own_shows_that_of_none(school: School) -> None:
    await school.write(make_event(source=NO_SOURCE))
    place = (await school.now(1, 0))["hanako"]
    assert place.notebook_id == await school.notebook("units/lesson.ipynb", 0)
    assert (await school.now())["hanako"].notebook_id is None


async def settle(school: School, class_ids: list[int], student: int = 1) -> list[int]:
    async with school.pool.acquire() as connection, connection.transaction():
        outcome = await help_requests.act(connection, class_ids, student, "resolve", "Sato")
        return outcome.class_ids


async def test_a_call_is_settled_and_stopped_in_its_class_only(school: School) -> None:
    await school.write(make_event(type="help"), make_event(type="help", source=KEYS[2]))
    assert (await callers(school, 1), await callers(school, 2)) == (["hanako"], ["hanako"])
    tomorrow = ago(hours=-23)
    await school.write(make_event(type="help_stop", source=KEYS[2], time=tomorrow))
    assert (await callers(school, 1), await callers(school, 2)) == (["hanako"], [])
    with pytest.raises(Conflict):
        await settle(school, [2])
    assert (await school.now(1))["hanako"].state == "help"
    assert await settle(school, [1]) == [1]
    assert await callers(school, 1) == []
    assert (await school.now(1))["hanako"].state == "active"
    await school.write(make_event(type="help", source=KEYS[2], time=ago(hours=-23, seconds=-1)))
    assert (await callers(school, 1), await callers(school, 2)) == ([], ["hanako"])
    with pytest.raises(NotFound):
        await settle(school, [2], 2)


async def test_a_call_in_no_class_is_settled_for_all_of_them(school: School) -> None:
    await school.write(make_event(type="help", source=NO_SOURCE))
    assert (await callers(school, 1), await callers(school, 1, 0)) == ([], ["hanako"])
    assert await callers(school, 2, 0) == ["hanako"]
    with pytest.raises(Conflict):
        await settle(school, [1])
    assert await settle(school, [1, 0]) == [1, 2]
    assert (await callers(school, 1, 0), await callers(school, 2, 0)) == ([], [])
    assert (await school.now(2, 0))["hanako"].state == "active"


async def test_a_stop_in_the_class_ends_a_call_in_none(school: School) -> None:
    await school.write(make_event(type="help", source=NO_SOURCE, time=ago(seconds=5)))
    await school.write(make_event(type="help_stop"))
    assert await callers(school, 1, 0) == []
    assert await callers(school, 2, 0) == ["hanako"]


async def test_classes_at_a_glance(school: School) -> None:
    await school.write(
        *(make_event(failed=True) for _ in range(3)),
        make_event(student="taro", type="help"),
        make_event(student="sensei", type="help"),
        make_event(source=KEYS[2], time=ago(seconds=5), received_at=ago(seconds=5)),
        *(make_event(source=NO_SOURCE, failed=True) for _ in range(3)),
    )
    await school.pool.execute(
        "INSERT INTO classes (class_code, name, is_active) VALUES ('o','o',false)"
    )

    async def seen(
        classes: list[int] | None, *, is_open: bool = False, **query: Any
    ) -> list[ClassOverview]:
        listing = await school.read(overview, classes, OverviewQuery(**query), is_open=is_open)
        assert listing.total == (3 if classes is None else len(classes))
        for each in listing.items:
            assert (each.last_heard_at is None) == (each.active == 0)
            each.last_heard_at = None
        return listing.items

    first = ClassOverview(1, "A", 2, 2, 1, 1, None)
    second = ClassOverview(2, "B", 1, 1, 0, 0, None)
    third = ClassOverview(3, "empty", 0, 0, 0, 0, None)
    assert await seen(None) == [first, second, third]
    assert await seen([2]) == [second]
    assert await seen([]) == []
    assert await seen(None, skip=1, limit=1) == [second]
    second.stuck = 1
    assert (await seen([2], is_open=True)) == [second]


async def test_verified_is_who_posts_with_their_own_credential(school: School) -> None:
    person = Source(credential="person hanako", student="hanako", verified=True, class_code="A")
    await school.write(make_event(source=person), make_event(student="taro"))
    states = await school.now()
    assert (states["hanako"].verified, states["taro"].verified) == (True, False)
    assert not (await school.now(2))["hanako"].verified
    (item,) = await timeline(school, None)
    assert item.verified


async def test_a_teachers_timeline_has_their_classes_only(school: School) -> None:
    await school.write(
        *(make_event(cell=f"a{n}", time=ago(minutes=n)) for n in range(5)),
        *(make_event(cell=f"b{n}", time=ago(minutes=n), source=KEYS[2]) for n in range(5)),
        make_event(type="notebook_open", cell=None, source=KEYS[2]),
    )
    items = await timeline(school, [1])
    assert [item.cell_id for item in items] == [f"a{n}" for n in range(5)]
    assert {item.class_id for item in items} == {1}
    assert len(await timeline(school, None)) == 10
    assert (await school.read(accesses, [1], 1, PageQuery())).items == []
    assert len((await school.read(accesses, [2], 1, PageQuery())).items) == 1
    assert await timeline(school, []) == []


async def test_views_of_now_and_then_agree_for_clocks_that_are_off(school: School) -> None:
    hour = timedelta(hours=1)
    for step in range(1, 12):
        at = ago(minutes=12 - step)
        kinds: list[dict[str, Any]] = [
            {"failed": step % 4 > 0},
            {"type": "help"},
            {"cell": f"x{step}"},
        ]
        for student, off in (("hanako", 5 * hour), ("taro", -3 * hour)):
            fields = {"cell": "c1", **kinds[step % 3]}
            event = make_event(student=student, time=at + off, received_at=at, **fields)
            await school.write(event)
            current = (await school.then(at + timedelta(milliseconds=1)))[student]
            if step > 1:
                assert current.last_heard_at == at
                assert current.cell_id == fields["cell"]
                assert (current.state == "help") == ("type" in fields)
    now, then = await school.now(), await school.then(ago())
    for student in ("hanako", "taro"):
        assert now[student].errors_in_a_row == then[student].errors_in_a_row
        assert now[student].executions == then[student].executions


async def test_who_loses_a_class_during_a_call_sees_what_was_there_before(
    school: School, database: Database
) -> None:
    await school.write(make_event(student="taro"))
    sensei = Principal("instructor", "sensei")
    scope = {
        "call": Call(Permission(instructor=THEIRS), sensei, THEIRS),
        "method": "GET",
        "path": "",
    }
    transactions = Transactions(database, scope, "GET /classes/{class_id}/now", {"class_id": 1})
    snapshots = Snapshots(school.reads, transactions, sensei)

    async def removed_meanwhile(connection: Connection) -> list[int]:
        await school.pool.execute("DELETE FROM student_classes WHERE student_id = 3")
        await school.write(make_event(student="taro"))
        return await executions_now(connection)

    async def executions_now(connection: Connection) -> list[int]:
        states, _ = await class_state(connection, [1], ClassStateQuery())
        return [each.executions for each in states]

    assert await snapshots.read(removed_meanwhile) == [0, 1]
    with pytest.raises(Forbidden):
        await snapshots.read(executions_now)
    with pytest.raises(Forbidden):
        await snapshots.read_by_class(lambda connection, _: executions_now(connection))
