"""Cells are placed by their ids or, where these are random, by their index and code."""

import itertools
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from monitor.database.pool import Connection
from monitor.insight.cells import CellProgress, CellsQuery, NotebookProgress, notebook_progress
from monitor.insight.class_notebook import ClassNotebook
from monitor.insight.heatmap import StudentCell, StudentCellsQuery, student_cells
from monitor.insight.notebook_rows import (
    ADDED,
    INDEX,
    MAX_CELLS,
    MAX_CELLS_OF_STUDENT,
    NAMED,
)
from monitor.insight.query import class_notebook
from monitor.insight.versions import class_people
from monitor.lms import refusals
from monitor.pace import Pace
from tests.support.class_views import KEYS, School, ago, enrol, make_event, open_school
from tests.support.postgres import Address

STUDENTS = [f"s{number}" for number in range(1, 7)]
_ids = itertools.count(1)


@pytest.fixture
async def school(pool: asyncpg.Pool, postgres: Address) -> AsyncIterator[School]:
    async with open_school(pool, postgres) as school:
        await enrol(pool, STUDENTS)
        yield school


async def run(
    school: School,
    student: str,
    codes: list[str],
    *,
    ids: str | None = None,
    first: int = 0,
    minute: int = 9,
    **fields: Any,
) -> None:
    """The student runs cells of these codes from an index on; without `ids` theirs are random."""
    await school.write(
        *(
            make_event(
                student=student,
                cell=f"random {next(_ids)}" if ids is None else f"{ids}{index}",
                cell_index=index,
                code=code,
                time=ago(minutes=minute, seconds=-index),
                received_at=ago(minutes=minute, seconds=-index),
                **fields,
            )
            for index, code in enumerate(codes, first)
        )
    )


async def view(school: School, **query: Any) -> NotebookProgress:
    notebook = await school.notebook("units/lesson.ipynb")
    progress: NotebookProgress = await school.read(
        notebook_progress, [1], notebook, CellsQuery(**query)
    )
    return progress


async def cells_of(school: School, student: str) -> list[StudentCell]:
    notebook = await school.notebook("units/lesson.ipynb")
    cells, _ = await school.read(student_cells, [1], notebook, StudentCellsQuery())
    row = await school.pool.fetchval("SELECT id FROM students WHERE user_id = $1", student)
    return [cell for cell in cells if cell.student_id == row]


def places(cells: list[Any]) -> list[str]:
    return [cell.place for cell in cells]


def counts(cells: list[CellProgress]) -> list[tuple[str, int, int]]:
    return [(cell.place, cell.reached, cell.executions) for cell in cells]


LESSON = ["a = 1", "b = a", "c = b", "d = c"]
BY_INDEX = [f"index:{index}" for index in range(4)]


async def test_a_notebook_with_random_ids_that_is_opened_again_has_one_row_for_each_cell(
    school: School,
) -> None:
    for student in STUDENTS[:3]:
        await run(school, student, LESSON, failed=True, error="NameError: a")
        await run(school, student, LESSON, minute=5)
    cells = (await view(school)).cells
    assert counts(cells) == [(place, 3, 6) for place in BY_INDEX]
    assert [(cell.cell_id, cell.position) for cell in cells] == [(None, n) for n in range(4)]
    assert {(cell.succeeded, cell.attempts_mean, cell.attempts_median) for cell in cells} == {
        (3, 2.0, 2.0)
    }
    assert [error.count for cell in cells for error in cell.frequent_errors] == [3] * 4
    assert [(cell.place, cell.attempts) for cell in await cells_of(school, "s2")] == [
        (place, 2) for place in BY_INDEX
    ]


async def test_two_students_are_too_few_to_place_by_index(school: School) -> None:
    for student in STUDENTS[:2]:
        await run(school, student, LESSON[:2])
    cells = (await view(school)).cells
    assert [cell.position for cell in cells] == [0, 0, 1, 1]
    assert all(cell.place == f"id:{cell.cell_id}" for cell in cells)
    await run(school, "s3", LESSON[:2])
    assert places((await view(school)).cells) == BY_INDEX[:2]


@pytest.mark.parametrize("own", [False, True], ids=["same code", "own code at some cells"])
@pytest.mark.parametrize("added", [0, 2], ids=["at the top", "between"])
async def test_who_added_a_cell_shifts_nobody(school: School, added: int, own: bool) -> None:
    for student in STUDENTS[:4]:
        await run(school, student, LESSON)
    codes = [f"{code} + {own}" if own and index == 3 else code for index, code in enumerate(LESSON)]
    codes.insert(added, "look_at(a)")
    await run(school, "s5", codes)
    cells = (await view(school)).cells
    assert counts([cell for cell in cells if cell.place in BY_INDEX]) == [
        (place, 5, 5) for place in BY_INDEX
    ]
    (extra,) = (cell for cell in cells if cell.place not in BY_INDEX)
    assert (extra.place, extra.position, extra.reached) == (f"added:{added}", added, 1)
    assert places(cells).index(extra.place) == added
    expected = BY_INDEX.copy()
    expected.insert(added, extra.place)
    assert places(await cells_of(school, "s5")) == expected


async def test_two_who_added_different_cells_shift_nobody(school: School) -> None:
    for student in STUDENTS[:4]:
        await run(school, student, [*LESSON[:2], f"own = {student}", LESSON[3]])
    await run(school, "s5", [LESSON[0], "look(a)", LESSON[1], "own = 5", LESSON[3]])
    await run(school, "s6", ["import x", *LESSON[:2], "own = 6", "look(c)", LESSON[3], "end()"])
    assert [(cell.place, cell.reached) for cell in (await view(school)).cells] == [
        ("added:0", 1),
        ("index:0", 6),
        ("added:1", 1),
        ("index:1", 6),
        ("index:2", 6),
        ("added:3", 1),
        ("index:3", 6),
        ("index:4", 1),
    ]


@pytest.mark.parametrize("ids", ["c", None], ids=["with ids", "random"])
async def test_half_a_class_has_a_version_with_cells_deleted(
    school: School, ids: str | None
) -> None:
    lesson = [f"x = {number}" for number in range(6)]
    for student in STUDENTS[:3]:
        await run(school, student, lesson, ids=ids)
    for student in STUDENTS[3:]:  # without the cells 2 and 5
        for index, number in enumerate((0, 1, 3, 4)):
            cell = f"c{number}" if ids else f"{student} {number}"
            where = {"student": student, "cell": cell, "cell_index": index}
            await school.write(make_event(**where, code=lesson[number]))
    cells = (await view(school)).cells
    reached = {int(cell.place[-1]): cell.reached for cell in cells}
    assert reached == {0: 6, 1: 6, 2: 3, 3: 6, 4: 6, 5: 3}


async def test_who_ran_one_of_two_cells_with_the_same_code_ran_that_one(school: School) -> None:
    for student in STUDENTS[:3]:
        await run(school, student, ["look()", "a = 1", "look()"])
    await run(school, "s4", ["look()"], first=2)
    assert counts((await view(school)).cells) == [
        ("index:0", 3, 3),
        ("index:1", 3, 3),
        ("index:2", 4, 4),
    ]


async def test_a_cell_is_added_after_the_notebook_was_opened_again(school: School) -> None:
    for student in STUDENTS[:4]:
        await run(school, student, LESSON)
    await run(school, "s4", ["look", *LESSON[:2], "own = b", LESSON[3]], minute=5)
    cells = (await view(school)).cells
    assert [(each.place, each.executions) for each in cells] == [
        ("added:0", 1),
        *((place, 5) for place in BY_INDEX),
    ]


async def test_code_that_somebody_copied_moves_no_cell(school: School) -> None:
    for student in STUDENTS[:4]:
        await run(school, student, LESSON)
    await run(school, "s5", [*LESSON[:2], LESSON[0], "own = d"])
    assert places(await cells_of(school, "s5")) == BY_INDEX


async def test_an_id_that_two_used_is_the_cell_and_others_join_it_by_index(
    school: School,
) -> None:
    for student in STUDENTS[:3]:
        await run(school, student, LESSON, ids="c")
    await run(school, "s4", ["a = 2", "b = 3", "c = 4", "d = 5", "e = 6"])
    cells = (await view(school)).cells
    assert counts(cells) == [(f"id:c{n}", 4, 4) for n in range(4)] + [("index:4", 1, 1)]
    assert [cell.cell_id for cell in cells] == ["c0", "c1", "c2", "c3", None]


async def test_a_cell_of_ones_own_beside_the_shared_ones_counts_for_none_of_them(
    school: School,
) -> None:
    for student in STUDENTS[:3]:
        await run(school, student, LESSON, ids="c")
    await run(school, "s3", ["scratch"], first=1, minute=3, failed=True)
    cells = (await view(school)).cells
    assert counts(cells) == [
        ("id:c0", 3, 3),
        ("added:1", 1, 1),
        ("id:c1", 3, 3),
        ("id:c2", 3, 3),
        ("id:c3", 3, 3),
    ]


async def test_the_order_is_what_most_have_and_minus_one_is_none(school: School) -> None:
    for student, (one, other, none) in zip(
        STUDENTS, [(7, 2, -1), (7, 2, None), (1, 9, -1)], strict=False
    ):
        for cell, index in (("one", one), ("other", other), ("none", none)):
            await school.write(make_event(student=student, cell=cell, cell_index=index))
    cells = (await view(school)).cells
    assert [(cell.cell_id, cell.position) for cell in cells] == [
        ("other", 2),
        ("one", 7),
        ("none", None),
    ]


async def test_random_ids_without_an_index_are_placed_by_code_alone(school: School) -> None:
    for student in STUDENTS[:4]:
        await run(school, student, LESSON)
    for code in ("c=b", "unknown"):
        await school.write(make_event(student="s5", cell=f"x {code}", cell_index=-1, code=code))
    cells = (await view(school)).cells
    assert [(cell.place, cell.reached) for cell in cells][2:] == [
        ("index:2", 5),
        ("index:3", 4),
        ("id:x unknown", 1),
    ]


async def test_staff_add_no_rows_of_their_own_to_a_notebook_with_random_ids(
    school: School,
) -> None:
    for student in (*STUDENTS[:3], "sensei"):
        await run(school, student, LESSON)
    assert counts((await view(school)).cells) == [(place, 3, 3) for place in BY_INDEX]


async def test_students_who_disagree_about_a_cell_change_no_row_of_it(school: School) -> None:
    await run(school, "s1", LESSON, ids="c")
    await run(school, "s2", LESSON, ids="c", first=-1)
    query = "SELECT xmin::text, ctid, c.* FROM cells AS c ORDER BY id"
    before = await school.pool.fetch(query)
    for index in (5, 9, 5):
        for student in ("s1", "s2"):
            await school.write(
                make_event(student=student, cell="c1", cell_index=index, cell_type="markdown")
            )
    assert await school.pool.fetch(query) == before


async def test_where_a_student_is_follows_their_own_index(school: School) -> None:
    await run(school, "s1", LESSON, ids="c")
    await run(school, "s2", ["added", *LESSON], ids="c")
    for states in (await school.now(), await school.then(ago(seconds=-1))):
        assert [states[each].cell_position for each in ("s1", "s2")] == [3, 4]
    await school.write(make_event(student="s1", cell="c1", cell_index=-1))
    assert (await school.now())["s1"].cell_position == 1


async def limited(school: School, cells: int, paths: int) -> None:
    """Lowers the limits on a student's new names."""
    for function, name, limit in (
        ("name_cells", "cells", cells),
        ("name_notebooks", "paths", paths),
    ):
        text = await school.pool.fetchval("SELECT pg_get_functiondef($1::regproc)", function)
        lines = text.splitlines()
        (line,) = (each for each in lines if f"max_{name} CONSTANT" in each)
        lines[lines.index(line)] = f"    max_{name} CONSTANT bigint := {limit};"
        await school.pool.execute("\n".join(lines))


async def test_who_makes_up_cells_costs_themselves(school: School) -> None:
    await limited(school, cells=3, paths=1_000)
    for student in STUDENTS[:3]:
        await run(school, student, LESSON[:2], ids="c")
    await run(school, "s4", [f"x{n}" for n in range(5)])
    await run(school, "s4", LESSON[:2], ids="c")  # named by others before
    stored = await school.pool.fetch(
        """SELECT cell_index, metadata->>'cellId' AS cell, cell_id IS NULL AS is_over
           FROM cell_executions JOIN students ON students.id = student_id
           WHERE user_id = 's4' ORDER BY executed_at, cell_index"""
    )
    assert [row["cell"] is not None for row in stored] == [row["is_over"] for row in stored]
    assert sum(row["is_over"] for row in stored) == 2
    assert (await school.now())["s4"].executions == 7
    cells = (await view(school)).cells
    assert [(cell.place, cell.executions) for cell in cells] == [
        ("added:0", 1),
        ("id:c0", 4),
        ("added:1", 1),
        ("id:c1", 4),
        ("index:2", 1),
    ]
    (refusal,) = (await refusals.of_class(school.pool, 1, False)).refusals
    assert (refusal.reason, refusal.events, refusal.user_ids) == ("too_many_cells", 2, ["s4"])


async def test_who_makes_up_notebooks_costs_themselves(school: School) -> None:
    await limited(school, cells=20_000, paths=2)
    await school.write(*(make_event(student="s1", notebook=f"{n}.ipynb") for n in range(5)))
    await school.write(make_event(student="s2", notebook="4.ipynb"))
    await school.write(make_event(student="s1", notebook="4.ipynb", cell="new"))
    rows = await school.pool.fetch(
        """SELECT metadata->>'notebookPath' AS path, metadata->>'cellId' AS cell
           FROM cell_executions WHERE alias_id IS NULL ORDER BY path"""
    )
    assert [tuple(row) for row in rows] == [(f"{n}.ipynb", "cell-1") for n in (2, 3, 4)]
    (refusal,) = (await refusals.of_class(school.pool, 1, False)).refusals
    assert (refusal.reason, refusal.events, refusal.user_ids) == ("too_many_notebooks", 3, ["s1"])


async def test_the_limits_are_those_of_a_student_in_a_class(school: School) -> None:
    await limited(school, cells=2, paths=1_000)
    for source in (KEYS[1], KEYS[2]):
        await school.write(*(make_event(cell=f"c{n}", source=source) for n in range(2)))
    await school.write(make_event(student="taro", cell="c2"))
    assert await school.pool.fetchval("SELECT count(cell_id) FROM cell_executions") == 5


async def test_an_answer_has_a_bound_and_says_how_many_are_left_out(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("cells", "heatmap"):
        monkeypatch.setattr(f"monitor.insight.{module}.MAX_CELLS", 2)
    for student in STUDENTS[:3]:
        await run(school, student, LESSON, ids="c")
    await run(school, "s4", LESSON[1:3], ids="c", first=1)
    progress = await view(school)
    assert (places(progress.cells), progress.more_cells) == (["id:c1", "id:c2"], 2)
    assert places(await cells_of(school, "s1")) == ["id:c1", "id:c2"]


async def test_who_makes_up_thousands_of_cells_leaves_those_of_the_class(school: School) -> None:
    for student in STUDENTS[:3]:
        await run(school, student, LESSON)
    extra = 100
    await run(school, "s4", [f"x{n}" for n in range(extra)], minute=60)
    codes = [f"y{n}" for n in range(MAX_CELLS_OF_STUDENT)]
    await run(school, "s4", codes, first=extra, minute=60)
    progress = await view(school)
    assert places(progress.cells)[:5] == [*BY_INDEX, f"index:{extra}"]  # only the newest are read
    assert [cell.reached for cell in progress.cells[:5]] == [3, 3, 3, 3, 1]
    assert len(progress.cells) == MAX_CELLS
    assert progress.more_cells == MAX_CELLS_OF_STUDENT + len(LESSON) - MAX_CELLS


async def test_the_students_of_a_notebook_are_read_page_by_page(school: School) -> None:
    for student in STUDENTS:
        await run(school, student, LESSON)
    notebook = await school.notebook("units/lesson.ipynb")
    pages = []
    for skip in range(0, 8, 3):
        query = StudentCellsQuery(skip=skip, limit=3)
        cells, total = await school.read(student_cells, [1], notebook, query)
        assert total == 8
        pages.append(len({cell.student_id for cell in cells}))
        assert set(places(cells)) == set(BY_INDEX)
    assert sum(pages) == 6


async def test_places_of_several_notebooks_are_kept_apart(school: School) -> None:
    for student in STUDENTS[:3]:
        await run(school, student, LESSON)
        await run(school, student, LESSON[2:], ids="c", notebook="other.ipynb")
    await run(school, "s4", LESSON, ids="c")
    await run(school, "s4", ["look", "c = b"], notebook="other.ipynb")
    notebooks = [await school.notebook(path) for path in ("other.ipynb", "units/lesson.ipynb")]
    other, lesson = [await school.read(placed_cells, notebook) for notebook in notebooks]
    assert lesson == {(INDEX, n): 4 for n in range(4)}
    assert other == {(ADDED, 0): 1, (NAMED, 0): 4, (NAMED, 1): 3}


async def placed_cells(connection: Connection, notebook_id: int) -> Counter[tuple[int, int | None]]:
    """How many cells of the notebook have each kind and index."""
    people = await class_people(connection, [1])
    cells = ClassNotebook(1, (await class_notebook(connection, [1], notebook_id)).alias_ids)
    await cells.update(connection, people, Pace(5.0))
    placed = (cell for place in cells.places.values() for cell in place.cells)
    return Counter((cell.kind, cell.at) for cell in placed)
