"""Item analysis: who solved which cell of an assignment, after how many attempts and how long."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from monitor.errors import NotFound
from monitor.events.event import Event
from monitor.insight.analysis import AssignmentAnalysis, assignment_analysis
from tests.support.class_views import KEYS, School, ago, make_event, open_school
from tests.support.postgres import Address

PATH = "units/lesson.ipynb"


@pytest.fixture
async def school(pool: asyncpg.Pool, postgres: Address) -> AsyncIterator[School]:
    async with open_school(pool, postgres) as school:
        yield school


def then(at: datetime, **fields: Any) -> Event:
    return make_event(time=at, received_at=at, **fields)


async def assign(school: School) -> None:
    notebook = await school.notebook(PATH)
    await school.pool.execute(
        """
        INSERT INTO class_assignments (class_id, notebook_id, title, points)
        VALUES (1, $1, 'Lesson 1', 10)
        """,
        notebook,
    )


async def hand_in(school: School, student: int, attempt: int, **said: Any) -> None:
    await school.pool.execute(
        """
        INSERT INTO assignment_submissions (assignment_id, student_id, attempt, late, grade)
        VALUES (1, $1, $2, $3, $4)
        """,
        student,
        attempt,
        said.get("late", False),
        said.get("grade"),
    )


async def analysis(school: School) -> AssignmentAnalysis:
    return await school.read(assignment_analysis, 1, is_open=False)


async def test_each_cell_says_who_solved_it_after_how_much(school: School) -> None:
    failure = {"failed": True, "error": "KeyError: 'x'"}
    await school.write(
        then(ago(seconds=900), cell="c1", **failure),
        then(ago(seconds=880), cell="c1", **failure),
        then(ago(seconds=860), cell="c1"),
        then(ago(seconds=850), cell="c1"),
        then(ago(seconds=500), cell="c1", student="taro"),
        then(ago(seconds=400), cell="c2", cell_index=1, student="taro", **failure),
        then(ago(seconds=300), cell="text", cell_index=2, cell_type="markdown"),
        then(ago(seconds=200), cell="c2", cell_index=1, source=KEYS[2]),
        then(ago(seconds=100), cell="c9", cell_index=9, student="sensei"),
    )
    await assign(school)
    await hand_in(school, 2, 1, grade=3)
    await hand_in(school, 2, 2, late=True, grade=8)
    shown = await analysis(school)
    assert (shown.title, shown.points, shown.notebook_path) == ("Lesson 1", 10, PATH)
    assert (shown.students, shown.handed_in, shown.late, shown.graded) == (2, 1, 1, 1)
    assert shown.grade_mean == 8
    first, second = shown.cells
    assert (first.place, first.position, first.tried, first.solved) == ("id:c1", 0, 2, 2)
    assert (first.attempts_mean, first.attempts_median) == (2, 2)
    assert first.solving_time_median == pytest.approx(20, abs=0.1)
    assert (first.solved_by, first.stuck) == (["hanako", "taro"], [])
    assert first.handed_in_unsolved == []
    assert (second.tried, second.solved, second.attempts_mean) == (1, 0, None)
    assert (second.solving_time_median, second.stuck) == (None, ["taro"])
    assert second.handed_in_unsolved == ["taro"]


async def test_an_assignment_that_nobody_began_is_empty(school: School) -> None:
    await school.write(then(ago(seconds=9), cell="c1", student="sensei"))
    await assign(school)
    shown = await analysis(school)
    assert (shown.cells, shown.handed_in, shown.grade_mean) == ([], 0, None)
    with pytest.raises(NotFound):
        await school.read(assignment_analysis, 2, is_open=False)
