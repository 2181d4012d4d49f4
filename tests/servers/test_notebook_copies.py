"""Copies of handed-out notebooks: what is recognised, and where it counts."""

import uuid
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import asyncpg
import pytest

from monitor.auth.principal import person
from monitor.database.paging import Page
from monitor.errors import Conflict, InvalidBody, NotFound
from monitor.events.event import Source
from monitor.insight.analysis import assignment_analysis
from monitor.insight.attempts import AttemptsQuery, cell_attempts
from monitor.insight.cells import CellsQuery, notebook_progress
from monitor.insight.heatmap import StudentCellsQuery, student_cells
from monitor.insight.help_queue import HelpQuery, help_queue
from monitor.insight.me import me, my_assignments
from monitor.insight.notebook_copies import NotebookCopies, notebook_copies
from monitor.insight.query import class_notebook
from monitor.insight.radar import RadarQuery, error_radar
from monitor.insight.timeline import TimelineQuery, executions
from monitor.lms.notebook_decisions import keep_apart, merge, undo
from tests.support.class_views import KEYS, School, compared_attempts, make_event, open_school
from tests.support.factories import now
from tests.support.postgres import Address

LESSON = "units/lesson.ipynb"

# File names and what they are copies of, each as a program writes it.
MARKS = [
    ("lesson-Copy1.ipynb", "lesson.ipynb"),  # Jupyter: "Duplicate"
    ("lesson-Copy12.ipynb", "lesson.ipynb"),
    ("lesson-checkpoint.ipynb", "lesson.ipynb"),  # Jupyter, in .ipynb_checkpoints
    ("lesson (1).ipynb", "lesson.ipynb"),  # Chrome, Edge, Windows
    ("lesson(1).ipynb", "lesson.ipynb"),  # Firefox
    ("lesson - Copy.ipynb", "lesson.ipynb"),  # Windows
    ("lesson - Copy (2).ipynb", "lesson.ipynb"),
    ("lesson - コピー.ipynb", "lesson.ipynb"),
    ("lesson - コピー (2).ipynb", "lesson.ipynb"),
    ("コピー ～ lesson.ipynb", "lesson.ipynb"),  # Windows XP
    ("lesson copy.ipynb", "lesson.ipynb"),  # macOS, VS Code
    ("lesson copy 2.ipynb", "lesson.ipynb"),
    ("lesson のコピー.ipynb", "lesson.ipynb"),  # macOS
    ("lesson のコピー 2.ipynb", "lesson.ipynb"),
    ("lessonのコピー.ipynb", "lesson.ipynb"),
    ("lessonコピー.ipynb", "lesson.ipynb"),
    ("Copy of lesson.ipynb", "lesson.ipynb"),  # Google Drive, Colab
    ("Copy of Copy of lesson.ipynb", "lesson.ipynb"),
    ("lesson.ipynb のコピー", "lesson.ipynb"),
    ("lesson.ipynb のコピー.ipynb", "lesson.ipynb"),
    ("lesson (copy).ipynb", "lesson.ipynb"),  # GNOME
    ("lesson (3rd copy).ipynb", "lesson.ipynb"),
    ("lesson (コピー).ipynb", "lesson.ipynb"),
    ("lesson (hanako's conflicted copy 2026-04-10).ipynb", "lesson.ipynb"),  # Dropbox
    ("lesson-Copy1 (2).ipynb", "lesson.ipynb"),
    ("第1回 のコピー.ipynb", "第1回.ipynb"),
    ("lesson (2026).ipynb", "lesson (2026).ipynb"),
    ("photocopy.ipynb", "photocopy.ipynb"),
    ("copyright.ipynb", "copyright.ipynb"),
    ("コピー.ipynb", "コピー.ipynb"),
    ("(1).ipynb", "(1).ipynb"),
    ("lesson-2.ipynb", "lesson-2.ipynb"),  # as people number lessons
]


@pytest.fixture
async def school(pool: asyncpg.Pool, postgres: Address) -> AsyncIterator[School]:
    async with open_school(pool, postgres) as school:
        await school.pool.execute(
            """
            INSERT INTO students (user_id) VALUES ('jiro');
            INSERT INTO student_classes (student_id, class_id, role)
            SELECT id, 1, 'student' FROM students WHERE user_id = 'jiro';
            """
        )
        yield school


async def hand_out(school: School, path: str = LESSON, class_id: int = 1) -> int:
    notebook_id: int = await school.pool.fetchval(
        """
        WITH notebook AS (
            INSERT INTO notebooks (class_id, path, name) VALUES ($2, $1, $1)
            ON CONFLICT (class_id, path) DO UPDATE SET name = $1 RETURNING id
        )
        INSERT INTO class_assignments (class_id, notebook_id, title)
        SELECT $2, id, '課題' FROM notebook RETURNING notebook_id
        """,
        path,
        class_id,
    )
    return notebook_id


async def run(
    school: School, student: str, path: str, *cells: str, class_id: int = 1, **fields: Any
) -> None:
    events = [
        make_event(
            student=student,
            notebook=path,
            cell=cell,
            cell_index=index,
            source=KEYS[class_id],
            **fields,
        )
        for index, cell in enumerate(cells)
    ]
    await school.write(*events)


def random_ids(count: int = 3) -> list[str]:
    """Cell ids as JupyterLab makes them for a notebook without, at each opening."""
    return [uuid.uuid4().hex[:8] for _ in range(count)]


async def copies(school: School, notebook_id: int, *class_ids: int) -> NotebookCopies:
    return await school.read(notebook_copies, list(class_ids or [1]), notebook_id)


async def counted(school: School, notebook_id: int) -> dict[str, str]:
    """Why each path counts for a notebook."""
    found = await copies(school, notebook_id)
    return {each.notebook_path: each.reason for each in found.copies}


@pytest.mark.parametrize(("name", "original"), MARKS)
async def test_names_of_copies(pool: asyncpg.Pool, name: str, original: str) -> None:
    names = await pool.fetchval("SELECT original_names($1, false)", f"a folder/{name}")
    assert (names[0], names[-1]) == (name, original)


@pytest.mark.parametrize("name", [name for name, original in MARKS if original != name])
async def test_a_copy_counts_by_its_cells(school: School, name: str) -> None:
    path = name.replace("第1回", "lesson")
    lesson = await hand_out(school)
    await run(school, "hanako", LESSON, "a", "b", "c")
    await run(school, "taro", f"Downloads/{path}", "b", "c", "x", "y")
    assert await counted(school, lesson) == {f"Downloads/{path}": "cells"}
    (copy,) = (await copies(school, lesson)).copies
    assert (copy.cells, copy.known, copy.students) == (4, 2, ["taro"])


@pytest.mark.parametrize(
    ("cells", "counts"),
    [
        (["a", "b"], True),
        (["a", "x"], True),
        (["a", "x", "y"], False),  # less than half
        (["a"], False),  # less than two
        (["x", "y", "z"], False),
    ],
)
async def test_half_of_two_cells_or_more_are_the_notebook_s(
    school: School, cells: list[str], counts: bool
) -> None:
    lesson = await hand_out(school)
    await run(school, "hanako", LESSON, "a", "b", "c")
    await run(school, "jiro", LESSON, "a", "b", "c")
    await run(school, "taro", "lesson (1).ipynb", *cells)
    assert bool(await counted(school, lesson)) == counts


async def test_random_ids_leave_it_to_the_name(school: School) -> None:
    lesson = await hand_out(school)
    await run(school, "hanako", LESSON, *random_ids())
    await run(school, "jiro", LESSON, *random_ids())
    await run(school, "taro", "lesson-Copy1.ipynb", *random_ids())
    await run(school, "taro", "other.ipynb", *random_ids())
    await run(school, "taro", "lesson-2.ipynb", *random_ids())  # a number alone says little
    assert await counted(school, lesson) == {"lesson-Copy1.ipynb": "name"}
    await school.pool.execute("DELETE FROM class_assignments")
    assert await counted(school, lesson) == {}


async def test_nobody_has_the_handed_out_path_itself(school: School) -> None:
    lesson = await hand_out(school)
    await run(school, "hanako", "hanako/lesson.ipynb", "a", "b", "c")
    await run(school, "taro", "taro/lesson.ipynb", "a", "b", "c", "d")
    await run(school, "jiro", "jiro/lesson.ipynb", "x", "y", "z")
    assert await counted(school, lesson) == {
        "hanako/lesson.ipynb": "cells",
        "taro/lesson.ipynb": "cells",
    }


async def test_a_number_counts_with_cells_only(school: School) -> None:
    lesson = await hand_out(school)
    await run(school, "hanako", LESSON, "a", "b", "c")
    await run(school, "taro", "lesson-2.ipynb", "a", "b", "c")  # Safari
    await run(school, "jiro", "lesson 3.ipynb", "x", "y")
    assert await counted(school, lesson) == {"lesson-2.ipynb": "cells"}


async def test_of_two_with_the_same_name_the_folder_or_the_cells_decide(school: School) -> None:
    one = await hand_out(school, "week1/exercise.ipynb")
    two = await hand_out(school, "week2/exercise.ipynb")
    await run(school, "hanako", "python/week1/exercise (1).ipynb", *random_ids())
    await run(school, "taro", "exercise-Copy1.ipynb", *random_ids())
    assert await counted(school, one) == {"python/week1/exercise (1).ipynb": "name"}
    assert await counted(school, two) == {}
    await run(school, "hanako", "week2/exercise.ipynb", "a", "b")
    await run(school, "taro", "exercise (2).ipynb", "a", "b")
    assert await counted(school, two) == {"exercise (2).ipynb": "cells"}


async def test_what_was_handed_out_is_no_copy(school: School) -> None:
    one = await hand_out(school, "lesson.ipynb")
    two = await hand_out(school, "lesson (2).ipynb")
    for student in ("hanako", "taro"):
        await run(school, student, "lesson.ipynb", "a", "b")
        await run(school, student, "lesson (2).ipynb", "a", "b")
    await run(school, "jiro", "lesson (2) (1).ipynb", "a", "b")
    assert await counted(school, one) == {}
    assert await counted(school, two) == {"lesson (2) (1).ipynb": "cells"}


async def test_another_class_has_its_own(school: School) -> None:
    this_year, last_year = await hand_out(school), await hand_out(school, class_id=2)
    assert this_year != last_year
    await run(school, "hanako", LESSON, "a", "b")
    await run(school, "taro", "lesson (1).ipynb", "a", "b")
    await run(school, "hanako", "lesson (1).ipynb", "a", "b", class_id=2)
    for class_id, notebook_id, student in ((1, this_year, "taro"), (2, last_year, "hanako")):
        (copy,) = (await copies(school, notebook_id, class_id)).copies
        assert (copy.notebook_path, copy.students) == ("lesson (1).ipynb", [student])
        assert copy.notebook_id == await school.notebook("lesson (1).ipynb", class_id)


async def test_every_view_shows_the_handed_out_notebook(school: School) -> None:
    lesson = await hand_out(school)
    await run(school, "hanako", LESSON, "a", "b", failed=True, error="NameError: x")
    await run(school, "taro", "lesson (1).ipynb", "a", "b", failed=True, error="NameError: x")
    await school.write(
        make_event(student="taro", type="help", notebook="lesson (1).ipynb", cell=None)
    )
    progress = await school.read(notebook_progress, [1], lesson, CellsQuery())
    assert [(cell.cell_id, cell.reached, cell.failed) for cell in progress.cells] == [
        ("a", 2, 2),
        ("b", 2, 2),
    ]
    reached = await school.read(student_cells, [1], lesson, StudentCellsQuery())
    assert {each.student_id for each in reached.items} == {1, 2}
    for address in (lesson, await school.notebook("lesson (1).ipynb")):
        query = AttemptsQuery(place="id:a")
        read = await school.read(cell_attempts, [1], address, query)
        attempts = await compared_attempts(read)
        assert (attempts.notebook_id, attempts.notebook_path) == (lesson, LESSON)
        assert {item.user_id for item in attempts.items} == {"hanako", "taro"}
    assignment_id = await school.pool.fetchval("SELECT id FROM class_assignments")
    analysis = await school.read(assignment_analysis, assignment_id, is_open=False)
    assert [(cell.cell_id, cell.stuck) for cell in analysis.cells] == [
        ("a", ["hanako", "taro"]),
        ("b", ["hanako", "taro"]),
    ]
    for states in (await school.now(), await school.then(now())):
        assert (states["taro"].notebook_id, states["taro"].notebook_path) == (lesson, LESSON)
    radar = await school.read(error_radar, [1], RadarQuery())
    assert [(group.notebook_id, group.students) for group in radar.groups] == [
        (lesson, ["hanako", "taro"])
    ] * 2
    (request,) = (await school.read(help_queue, [1], HelpQuery())).items
    assert request.notebook_path == LESSON
    assert (await school.read(me, "taro")).classes[0].notebook_path == LESSON
    page = await school.read(my_assignments, "taro", Page())
    assert [(task.cells_run, task.cells_succeeded) for task in page.items] == [(2, 0)]
    of_lesson = TimelineQuery(notebook_id=lesson)
    timeline = await school.read(executions, [1], 2, of_lesson, is_open=False)
    assert [run.notebook_path for run in timeline.items] == ["lesson (1).ipynb"] * 2


async def test_a_copy_s_own_address_shows_the_handed_out_notebook(school: School) -> None:
    lesson = await hand_out(school)
    await run(school, "hanako", LESSON, "a", "b")
    await run(school, "taro", "lesson (1).ipynb", "a", "b")
    copy = await school.notebook("lesson (1).ipynb")
    shown = await school.read(class_notebook, [1], copy)
    assert (shown.id, shown.path, len(shown.alias_ids)) == (lesson, LESSON, 2)


async def test_what_was_done_in_no_class_counts_on_an_open_server(school: School) -> None:
    for path in (LESSON, "lesson (1).ipynb"):  # hanako has two classes, so these are of none
        for index, cell in enumerate(("a", "b")):
            place = {"notebook": path, "cell": cell, "cell_index": index}
            await school.write(make_event(source=Source(), **place))
    lesson = await hand_out(school)
    await run(school, "taro", LESSON, "a")
    states = await school.now(1, 0)
    assert {states[user].notebook_id for user in ("hanako", "taro")} == {lesson}
    progress = await school.read(notebook_progress, [1, 0], lesson, CellsQuery())
    assert [(cell.cell_id, cell.reached) for cell in progress.cells] == [("a", 2), ("b", 1)]
    assert sum(cell.executions for cell in progress.cells) == 5
    assert [each.reason for each in (await copies(school, lesson, 1, 0)).copies] == ["cells"]
    assert (await copies(school, lesson)).copies == []


async def test_other_notebooks_are_listed_with_likely_copies_first(school: School) -> None:
    lesson = await hand_out(school)
    await run(school, "hanako", LESSON, "a", "b", "c")
    await run(school, "hanako", "a scratch.ipynb", "p", "q")
    await run(school, "taro", "s2026001_lesson.ipynb", "a", "b", "c")
    await run(school, "sensei", "mine.ipynb", "a", "b", "c")  # no student's
    await run(school, "jiro", "lesson (1).ipynb", "b", "c")
    shown = await copies(school, lesson)
    assert [(each.notebook_path, each.known, each.students) for each in shown.others] == [
        ("s2026001_lesson.ipynb", 3, ["taro"]),
        ("a scratch.ipynb", 0, ["hanako"]),
    ]
    assert shown.is_handed_out
    assert not (await copies(school, shown.others[0].notebook_id)).is_handed_out


async def test_forms_of_a_path_are_listed(school: School) -> None:
    lesson = await hand_out(school, "lesson.ipynb")
    for path in ("lesson.ipynb", "RTC:lesson.ipynb", "./lesson.ipynb"):
        await run(school, "hanako", path, "a")
    shown = await copies(school, lesson)
    assert (shown.paths, shown.copies) == (["./lesson.ipynb", "RTC:lesson.ipynb"], [])


async def decide(school: School, chance: Random, notebooks: list[int]) -> bool:
    """Whether a random decision of a teacher was accepted."""
    one, other = chance.choice(notebooks), chance.choice(notebooks)
    action = chance.choice(("merge", "merge", "merge", "undo", "keep apart"))
    async with school.pool.acquire() as connection:
        try:
            async with connection.transaction():
                if action == "merge":
                    await merge(connection, [1], one, other, person("instructor", "sensei"))
                elif action == "undo":
                    await undo(connection, [1], one)
                else:
                    await keep_apart(connection, [1], one, person("instructor", "sensei"))
        except (Conflict, InvalidBody, NotFound):
            return False
    return True


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_teachers_decide_in_turn_is_consistent(school: School, seed: int) -> None:
    chance, notebooks = Random(seed), []
    await hand_out(school, "lesson.ipynb")
    for path in ("lesson.ipynb", "lesson (1).ipynb", "lesson-Copy1-Copy2.ipynb", "x.ipynb", "y"):
        await run(school, "hanako", path, "a", "b")
        notebooks.append(await school.notebook(path))
    await hand_out(school, "x.ipynb")
    accepted = sum([await decide(school, chance, notebooks) for _ in range(6)])
    for _ in range(20):
        accepted += await decide(school, chance, notebooks)
        query = "SELECT notebook_id, counts_for FROM notebook_copies('{1}', $1)"
        counts_for = dict(await school.pool.fetch(query, notebooks, timeout=5))
        decided = dict(
            await school.pool.fetch("SELECT notebook_id, counts_for FROM notebook_decisions")
        )
        roots = {each: counts_for.get(each, each) for each in notebooks}
        for notebook, root in roots.items():
            assert roots[root] == root
            if notebook in decided:
                assert root == roots[decided[notebook] or notebook]
            shown = await school.read(class_notebook, [1], notebook)
            assert shown.id == root
            query = "SELECT notebooks_counting_for('{1}', $1)"
            counting = await school.pool.fetchval(query, notebook, timeout=5)
            assert set(counting) == {notebook, *(n for n in notebooks if roots[n] == notebook)}
    assert accepted > 10


FOLDERS = """
    INSERT INTO students (user_id) SELECT 's' || n FROM generate_series(1, 200) AS n;
    INSERT INTO student_classes (student_id, class_id)
    SELECT id, 1 FROM students WHERE user_id ~ '^s[0-9]';
    INSERT INTO notebooks (class_id, path, name)
    SELECT 1, user_id || '/lesson-' || n || '.ipynb', 'x'
    FROM students, generate_series(1, 5) AS n WHERE user_id ~ '^s[0-9]';
    INSERT INTO notebook_aliases (class_id, path, notebook_id)
    SELECT 1, path, id FROM notebooks WHERE path ~ '^s[0-9]';
    INSERT INTO cells (alias_id, cell_id)
    SELECT id, md5(split_part(path, '/', 2) || n)
    FROM notebook_aliases, generate_series(1, 60) AS n WHERE path ~ '^s[0-9]';
    INSERT INTO cell_progress
        (student_id, alias_id, cell_id, name_hash, executions, errors, durations)
    SELECT s.id, a.id, c.id, hashtextextended(c.cell_id, 0), 1, 0, 0
    FROM students AS s JOIN notebook_aliases AS a ON a.path ~ ('^' || s.user_id || '/')
    JOIN cells AS c ON c.alias_id = a.id
"""


@pytest.mark.parametrize("analysed", ["never", "while nearly empty", "as it is"])
async def test_a_class_of_200_with_folders_is_read_in_time(school: School, analysed: str) -> None:
    for number in range(1, 6):
        await hand_out(school, f"units/lesson-{number}.ipynb")
    if analysed == "while nearly empty":
        await school.pool.execute("ANALYZE")
    await school.pool.execute(FOLDERS)
    if analysed == "as it is":
        await school.pool.execute("ANALYZE")
    lesson = await school.notebook("units/lesson-3.ipynb")
    async with school.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 1000")  # ms; it takes 20
        for _ in range(3):
            shown = await class_notebook(connection, [1], lesson)
            assert len(shown.alias_ids) == 200
            query = "SELECT count(*) FROM notebook_copies('{1}', $1) WHERE reason = 'cells'"
            ids = "SELECT array_agg(notebook_id) FROM notebook_aliases WHERE path ~ '/lesson-[12]'"
            copied = await connection.fetchval(query, await connection.fetchval(ids))
            assert copied == 400
