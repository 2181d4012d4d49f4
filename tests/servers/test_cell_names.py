"""Cells are named by their first line of code and the heading above, wherever they are named."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from monitor.insight.analysis import assignment_analysis
from monitor.insight.attempts import AttemptsQuery, cell_attempts
from monitor.insight.cells import CellsQuery, notebook_progress
from monitor.insight.help_queue import HelpQuery, help_queue
from monitor.insight.me import me
from monitor.insight.radar import RadarQuery, error_radar
from monitor.insight.timeline import TimelineQuery, executions
from tests.support.class_views import School, ago, make_event, open_school
from tests.support.factories import now
from tests.support.postgres import Address

NOTEBOOK = "lesson.ipynb"


@pytest.fixture
async def school(pool: asyncpg.Pool, postgres: Address) -> AsyncIterator[School]:
    async with open_school(pool, postgres) as school:
        yield school


def text(index: int, source: str, **fields: Any) -> Any:
    at = ago(seconds=100 - index)
    usual = {"cell": f"c{index}", "cell_index": index, "time": at, "received_at": at}
    return make_event(**usual | {"cell_type": "markdown", "code": source} | fields)


def run(index: int, code: str, seconds: float = 50, **fields: Any) -> Any:
    at = ago(seconds=seconds)
    usual = {"cell": f"c{index}", "cell_index": index, "time": at, "received_at": at}
    return make_event(**usual | {"code": code, "notebook": NOTEBOOK} | fields)


async def test_every_view_names_a_cell_by_its_code_and_the_heading_above(school: School) -> None:
    await school.write(
        text(0, "# 第 3 週\n## Lists", notebook=NOTEBOOK),
        text(2, "## Dictionaries\nWe look words up.", notebook=NOTEBOOK),
        text(3, "a text without one", notebook=NOTEBOOK),
        run(1, "names = []"),
        run(4, "# look it up\nages['taro']", failed=True, error="KeyError: 'taro'"),
        text(6, "## What comes later", notebook=NOTEBOOK),
        make_event(type="help", cell=None, notebook=None),
    )
    called = ("ages['taro']", "Dictionaries")
    # A text has no start of a run, so the place is that of the last event with a cell.
    await school.write(run(4, "# look it up\nages['taro']", 5, failed=True, error="KeyError: 'x'"))

    hanako = (await school.now())["hanako"]
    assert (hanako.cell_title, hanako.cell_heading) == called
    then = (await school.then(now() - timedelta(seconds=1)))["hanako"]
    assert (then.cell_title, then.cell_heading) == called
    (request,) = (await school.read(help_queue, [1], HelpQuery())).items
    assert (request.cell_title, request.cell_heading) == called
    (group,) = (await school.read(error_radar, [1], RadarQuery())).groups
    assert (group.cell_title, group.cell_heading) == called
    notebook_id = await school.notebook(NOTEBOOK)
    cells = (await school.read(notebook_progress, [1], notebook_id, CellsQuery())).cells
    assert [(cell.position, cell.title, cell.heading) for cell in cells] == [
        (0, "第 3 週", None),
        (1, "names = []", "Lists"),
        (2, "Dictionaries", "Lists"),
        (3, "a text without one", "Dictionaries"),
        (4, *called),
        (6, "What comes later", "Dictionaries"),
    ]
    query = AttemptsQuery(place="id:c4")
    page = (await school.read(cell_attempts, [1], notebook_id, query)).page
    assert (page.title, page.heading) == called
    await school.pool.execute(
        "INSERT INTO class_assignments (class_id, notebook_id, title) VALUES (1, $1, 'x')",
        notebook_id,
    )
    analysis = await school.read(assignment_analysis, 1, is_open=False)
    assert [(cell.title, cell.heading) for cell in analysis.cells] == [
        ("names = []", "Lists"),
        called,
    ]
    runs = (await school.read(executions, None, 1, TimelineQuery(), is_open=False)).items
    assert (runs[0].cell_title, runs[0].cell_heading) == called
    assert [(each.cell_title, each.cell_heading) for each in runs if each.status == "rendered"] == [
        ("What comes later", "Dictionaries"),
        ("a text without one", "Dictionaries"),
        ("Dictionaries", "Lists"),
        ("第 3 週", None),
    ]
    (mine,) = (await school.read(me, "hanako")).classes[:1]
    assert (mine.cell_title, mine.cell_heading) == called


async def test_a_place_is_called_by_the_code_that_most_have_there(school: School) -> None:
    await school.write(
        run(0, "x = 1", student="hanako"),
        run(0, "x = 2", student="taro", seconds=40),
        run(0, "x = 1", student="sensei", seconds=60),
        text(1, "## only here", notebook=NOTEBOOK),
        run(2, "y = 1", student="taro", seconds=30),
    )
    notebook_id = await school.notebook(NOTEBOOK)
    progress = await school.read(notebook_progress, [1], notebook_id, CellsQuery())
    titles = [(cell.position, cell.title, cell.heading) for cell in progress.cells]
    assert titles == [(0, "x = 1", None), (1, "only here", None), (2, "y = 1", None)]
    await school.write(run(0, "x = 2", student="taro", seconds=5))
    assert (await school.now())["taro"].cell_title == "x = 2"  # their own


async def test_a_clock_that_is_wrong_changes_no_name(school: School) -> None:
    wrong = timedelta(hours=2)
    for number, seconds in enumerate((30.0, 20.0, 10.0)):
        at = ago(seconds=seconds)
        claimed = {"time": at - wrong, "received_at": at, "session": "s"}
        kind = {"cell_type": "markdown"} if number == 0 else {}
        source = "# Loops" if number == 0 else f"while {number}:"
        where = {"cell": f"c{number}", "cell_index": number, "notebook": NOTEBOOK}
        await school.write(make_event(code=source, **claimed, **kind, **where))
    ahead = {"time": now() + timedelta(seconds=5), "received_at": now(), "student": "taro"}
    await school.write(make_event(code="x = 1", cell="c1", notebook=NOTEBOOK, **ahead))
    states = await school.now()
    assert (states["hanako"].cell_title, states["hanako"].cell_heading) == ("while 2:", "Loops")
    assert states["taro"].cell_title == "x = 1"


async def test_what_is_excluded_and_what_was_never_run_gives_no_name(school: School) -> None:
    start = run(1, "x = 1", type="cell_execution_start")
    await school.write(start)
    assert (await school.now())["hanako"].cell_title is None
    await school.write(run(1, "x = 1", seconds=1))
    assert (await school.now())["hanako"].cell_title == "x = 1"
    await school.pool.execute("UPDATE cell_executions SET excluded = 'disputed'")
    assert (await school.now())["hanako"].cell_title is None
