"""All attempts at a cell: whose, which, in which order, and what changed in them."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from monitor.errors import InvalidBody, NotFound
from monitor.events.event import NO_SOURCE, Event
from monitor.insight.attempts import AttemptsQuery, CellAttempts, cell_attempts
from monitor.insight.run_changes import run_changes
from monitor.insight.timeline import TimelineQuery
from tests.support.class_views import (
    KEYS,
    School,
    ago,
    compared_attempts,
    compared_runs,
    make_event,
    open_school,
)
from tests.support.postgres import Address

PATH = "units/lesson.ipynb"
KEY_ERROR = {"failed": True, "error": "KeyError: 'x'"}


@pytest.fixture
async def school(pool: asyncpg.Pool, postgres: Address) -> AsyncIterator[School]:
    async with open_school(pool, postgres) as school:
        yield school


async def attempts(
    school: School, *class_ids: int, place: str = "id:c1", **query: Any
) -> CellAttempts:
    classes = list(class_ids or [1])
    notebook = await school.notebook(PATH, classes[0])
    wanted = AttemptsQuery(place=place, **query)
    read = await school.read(cell_attempts, classes, notebook, wanted)
    return await compared_attempts(read)


def then(at: datetime, **fields: Any) -> Event:
    """What was received when it happened."""
    return make_event(time=at, received_at=at, **{"cell": "c1"} | fields)


def who(page: CellAttempts) -> list[tuple[str, int, str]]:
    return [(each.user_id, each.number, each.status) for each in page.items]


async def test_attempts_of_all_students_are_listed_newest_first(school: School) -> None:
    await school.write(
        then(ago(minutes=9), code="x = 1\nprint(x)\n", **KEY_ERROR),
        then(ago(minutes=8), student="taro", code="print(2)"),
        then(ago(minutes=7), code="x = 1\nprint(y)\n", output="3"),
        then(ago(minutes=6), cell="c2"),
        then(ago(minutes=5), cell_type="markdown"),
        then(ago(minutes=4), student="sensei"),
    )
    page = await attempts(school)
    assert who(page) == [
        ("hanako", 2, "success"),
        ("taro", 1, "success"),
        ("hanako", 1, "error"),
    ]
    assert (page.students, page.tried, page.solved, page.attempts) == (2, 2, 2, 3)
    assert (page.notebook_path, page.cell_id, page.position, page.next) == (PATH, "c1", 0, None)
    second, other, first = page.items
    assert [line.change for line in second.lines] == ["same", "removed", "added"]
    assert [span.text for span in second.lines[2].spans if span.changed] == ["y"]
    assert {line.change for each in (first, other) for line in each.lines} == {"same"}
    assert (first.kind, first.error, second.kind) == ("KeyError: …", "KeyError: 'x'", None)
    assert (second.code, second.output) == ("x = 1\nprint(y)\n", "3")
    assert [(each.error, each.count, each.students) for each in page.kinds] == [
        ("KeyError: …", 1, 1)
    ]


async def test_pages_have_each_attempt_once_and_its_number(school: School) -> None:
    events = [
        then(ago(seconds=1_000 - n), student=("hanako", "taro")[n % 3 == 0], code=f"x = {n}")
        for n in range(50)
    ]
    await school.write(*events)
    whole = await attempts(school, limit=100)
    assert [each.at for each in whole.items] == [event.time for event in events[::-1]]
    for user in ("hanako", "taro"):
        numbers = [each.number for each in whole.items if each.user_id == user]
        assert numbers == list(range(len(numbers), 0, -1))
    listed, cursor = [], None
    while True:
        page = await attempts(school, limit=7, **({"cursor": cursor} if cursor else {}))
        listed += page.items
        cursor = page.next
        if not cursor:
            break
    assert listed == whole.items
    changes = [{line.change for line in each.lines} for each in whole.items]
    assert changes[-2:] == [{"same"}, {"same"}]
    assert changes[:-2] == [{"removed", "added"}] * 48


async def test_only_those_wanted_are_shown_with_their_numbers(school: School) -> None:
    name_error = {"failed": True, "error": "NameError: name 'y' is not defined"}
    await school.write(
        then(ago(minutes=9), **KEY_ERROR),
        then(ago(minutes=8), student="taro", **KEY_ERROR),
        then(ago(minutes=7), **name_error, code="1 + 2"),
        then(ago(minutes=6)),
        then(ago(minutes=5), student="taro", failed=True, error=None),
    )
    failed = await attempts(school, status="error")
    assert who(failed) == [
        ("taro", 2, "error"),
        ("hanako", 2, "error"),
        ("taro", 1, "error"),
        ("hanako", 1, "error"),
    ]
    assert [line.change for line in failed.items[1].lines] == ["removed", "added"]
    kinds = {each.error: (each.count, each.students) for each in failed.kinds}
    assert list(kinds) == ["KeyError: …", "Error", "NameError: name … is not defined"]
    assert kinds["KeyError: …"] == (2, 2)
    for kind, (count, _) in kinds.items():
        page = await attempts(school, error=kind)
        assert [each.kind for each in page.items] == [kind] * count
        assert (page.tried, page.attempts) == (2, 5)
    assert who(await attempts(school, status="success")) == [("hanako", 3, "success")]
    assert who(await attempts(school, student_id=2)) == [("taro", 2, "error"), ("taro", 1, "error")]
    recent = await attempts(school, since=ago(minutes=6.5), until=ago(minutes=5.5))
    assert who(recent) == [("hanako", 3, "success")]
    assert (await attempts(school, error="no such")).items == []


async def test_what_was_done_elsewhere_or_counts_nowhere_is_left_out(school: School) -> None:
    await school.write(
        then(ago(minutes=9), code="here"),
        then(ago(minutes=8), code="elsewhere", source=KEYS[2]),
        then(ago(minutes=7), code="in no class", source=NO_SOURCE),
        then(ago(minutes=6), notebook="other.ipynb"),
        then(ago(minutes=5), student="taro", code="excluded"),
    )
    await school.pool.execute(
        "UPDATE cell_executions SET excluded = 'disputed' WHERE student_id = 2"
    )

    async def codes(*class_ids: int) -> list[str | None]:
        return [each.code for each in (await attempts(school, *class_ids)).items]

    assert await codes(1) == ["here"]
    assert await codes(1, 0) == ["in no class", "here"]
    assert await codes(2) == ["elsewhere"]
    await school.pool.execute(
        "UPDATE student_classes SET role = 'assistant' WHERE class_id = 1 AND student_id = 1"
    )
    assert (await attempts(school)).items == []


@pytest.mark.parametrize("off", [timedelta(hours=-1), timedelta(0), timedelta(hours=1)])
async def test_wrong_clocks_are_put_right(school: School, off: timedelta) -> None:
    start = ago(minutes=30)
    for step in range(6):
        at = start + timedelta(minutes=step)
        await school.write(
            make_event(
                cell="c1", time=at + off, received_at=at, code=f"x = {step}", session="hanako's"
            ),
            then(at + timedelta(seconds=30), student="taro", code="y"),
        )
    page = await attempts(school)
    assert [each.user_id for each in page.items] == ["taro", "hanako"] * 6
    mine = [each for each in page.items if each.user_id == "hanako"]
    assert [each.code for each in mine] == [f"x = {n}" for n in range(5, -1, -1)]
    assert [each.number for each in mine] == [6, 5, 4, 3, 2, 1]
    assert [each.at for each in mine[:4]] == [start + timedelta(minutes=n) for n in (5, 4, 3, 2)]


async def test_a_clock_set_during_the_lesson_loses_no_attempt(school: School) -> None:
    start = ago(minutes=30)
    for step in range(12):
        at = start + timedelta(minutes=step)
        off = timedelta(hours=2) if step < 6 else timedelta(0)
        await school.write(make_event(cell="c1", time=at + off, received_at=at, code=f"x = {step}"))
    page = await attempts(school)
    assert [each.code for each in page.items] == [f"x = {n}" for n in range(11, -1, -1)]
    assert [each.number for each in page.items] == list(range(12, 0, -1))


async def test_cells_whose_ids_are_random_are_one_place(school: School) -> None:
    await school.pool.execute(
        """
        INSERT INTO students (user_id) VALUES ('jiro');
        INSERT INTO student_classes (student_id, class_id, role) VALUES (4, 1, 'student');
        """
    )
    users = ("hanako", "taro", "jiro")
    for opening in range(2):
        for number, user in enumerate(users):
            for index in range(2):
                at = ago(minutes=20 - 10 * opening - number)
                name = f"{user}-{opening}-{index}"
                code = f"x = {opening} + {index}"
                await school.write(then(at, student=user, cell=name, cell_index=index, code=code))
    page = await attempts(school, place="index:1")
    assert [(each.user_id, each.number) for each in page.items] == [
        (user, number) for number in (2, 1) for user in users[::-1]
    ]
    assert {each.code for each in page.items} == {"x = 0 + 1", "x = 1 + 1"}
    assert [line.change for line in page.items[0].lines] == ["removed", "added"]
    assert (page.place, page.cell_id, page.position) == ("index:1", None, 1)
    assert (page.students, page.tried, page.attempts) == (3, 3, 6)
    for place in ("index:2", "index:x", "index:", "added:1", "index:99999999999999999999"):
        with pytest.raises(NotFound):
            await attempts(school, place=place)


async def test_unknown_places_cursors_and_students_are_refused(school: School) -> None:
    await school.write(then(ago(minutes=1)))
    with pytest.raises(NotFound):
        await attempts(school, place="id:nowhere")
    with pytest.raises(NotFound):
        await attempts(school, place="c1")
    with pytest.raises(NotFound):
        await attempts(school, student_id=3)
    with pytest.raises(InvalidBody):
        await attempts(school, cursor="x")


async def changes(school: School, **query: Any) -> list[list[str]]:
    read = await school.read(run_changes, None, 1, TimelineQuery(**query), is_open=False)
    return [[line.change for line in each.lines] for each in await compared_runs(read)]


async def test_a_students_timeline_says_what_changed_between_two_runs(school: School) -> None:
    await school.write(
        then(ago(minutes=9), code="x = 1\nprint(x)"),
        then(ago(minutes=8), code="x = 1", cell="c2"),
        then(ago(minutes=7), code="x = 1\nprint(y)"),
        then(ago(minutes=6), code="# text", cell_type="markdown"),
        then(ago(minutes=5), code="x = 1\nprint(y)"),
        then(ago(minutes=4), code="y = 2\nprint(y)", source=KEYS[2]),
        then(ago(minutes=3), code="x = 1\nprint(y)\n\nz = 3"),
    )
    assert await changes(school) == [
        ["same", "same", "added", "added"],
        ["same", "same"],  # the first in the other class
        ["same", "same"],
        ["same", "removed", "added"],
        ["same"],
        ["same", "same"],
    ]
    assert await changes(school, limit=1) == [["same", "same", "added", "added"]]
    assert await changes(school, until=ago(minutes=10)) == []
