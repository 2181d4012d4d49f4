"""What a replica keeps of a class is what it would read anew, after each step of a random walk."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.insight.analysis import assignment_analysis
from monitor.insight.attempts import AttemptsQuery, cell_attempts
from monitor.insight.cells import CellsQuery, notebook_progress
from monitor.insight.class_notebook import ClassNotebook
from monitor.insight.heatmap import StudentCellsQuery, student_cells
from monitor.insight.kept import Kept
from monitor.insight.progress import assignment_students
from monitor.insight.query import class_notebook
from monitor.insight.radar import RadarQuery, error_radar
from monitor.insight.versions import class_people
from monitor.pace import Pace
from tests.support.class_views import KEYS, School, enrol, make_event, open_school
from tests.support.factories import now
from tests.support.placed import PLACED
from tests.support.postgres import Address

STEPS = 60
STUDENTS = [f"s{number}" for number in range(6)]
CLASSES = [1, 0]
COLUMNS = "student_id, alias_id, id, is_student, kind, key, at"
WITHDRAWAL = """
    INSERT INTO withdrawals (credentials, since, until, requested_by)
    VALUES ('{key 1}', now() - interval '20 minutes', now() + interval '1 hour', 'x') RETURNING id
"""
WITHDRAWAL_STEP = "INSERT INTO withdrawal_steps (withdrawal_id, student_id) VALUES ($1, $2)"


@pytest.fixture
async def school(pool: asyncpg.Pool, postgres: Address) -> AsyncIterator[School]:
    async with open_school(pool, postgres) as school:
        await enrol(pool, STUDENTS)
        yield school


class Walk:
    """Steps that change what a class's views show."""

    def __init__(self, school: School, chance: random.Random) -> None:
        self._school = school
        self._chance = chance
        self.steps: list[Callable[[], Awaitable[None]]] = [
            *[self.run] * 8,
            *[self.open_again] * 2,
            self.render,
            self.leave,
            self.join,
            self.withdraw,
            self.restore,
            self.assign,
            self.recount,
            self.say_copy,
            self.merge,
        ]

    async def take(self) -> str:
        step = self._chance.choice(self.steps)
        await step()
        return step.__name__

    async def run(self) -> None:
        await self._run(self._chance.randrange(1, 5))

    async def open_again(self) -> None:
        await self._run(6, ids=self._chance.choice(["random", "shared"]))

    async def _run(self, number: int, ids: str = "random") -> None:
        chance = self._chance
        student = chance.choice([*STUDENTS, "hanako", "sensei"])
        first, added, opening = chance.randrange(4), chance.random() < 0.2, chance.randrange(3)
        for index in range(first, first + number):
            cell = f"c{index}" if ids == "shared" else f"{student} {opening} {index}"
            await self._school.write(
                make_event(
                    student=student,
                    cell=cell,
                    cell_index=chance.choice([index + added] * 9 + [-1]),
                    cell_type="code",
                    code=chance.choice([f"x = {index}"] * 3 + [f"y = {chance.random()}"]),
                    notebook=chance.choice(["lesson.ipynb"] * 5 + ["lesson (1).ipynb"]),
                    failed=chance.random() < 0.5,
                    error=f"KeyError: {chance.choice('ab')}\nValueError: {chance.randrange(2)}",
                    time=now() - timedelta(minutes=chance.choice([1, 5, 30])),
                    source=KEYS[1],
                )
            )

    async def render(self) -> None:
        student = self._chance.choice(STUDENTS)
        await self._school.write(
            make_event(
                student=student,
                cell=f"{student} 0 0",
                cell_index=0,
                cell_type="markdown",
                code=f"# Part {self._chance.randrange(9)}",
                notebook="lesson.ipynb",
            )
        )

    async def leave(self) -> None:
        query = "DELETE FROM student_classes WHERE student_id = $1 AND class_id = 1"
        await self._school.pool.execute(query, await self._student())

    async def join(self) -> None:
        await self._school.pool.execute(
            """INSERT INTO student_classes (student_id, class_id, role) VALUES ($1, 1, $2)
               ON CONFLICT (student_id, class_id) DO UPDATE SET role = EXCLUDED.role""",
            await self._student(),
            self._chance.choice(["student", "student", "assistant"]),
        )

    async def withdraw(self) -> None:
        pool, student = self._school.pool, await self._student()
        withdrawal = await pool.fetchval(WITHDRAWAL)
        await pool.execute(WITHDRAWAL_STEP, withdrawal, student)
        await pool.execute("SELECT withdraw_rows($1, $2, 3, false)", withdrawal, student)
        await self.look()
        await pool.execute("SELECT finish_withdrawal_step($1, $2)", withdrawal, student)

    async def restore(self) -> None:
        pool, student = self._school.pool, await self._student()
        for row in await pool.fetch("SELECT id FROM withdrawals"):
            await pool.execute("SELECT restore_rows($1, $2, NULL, 2, false)", row["id"], student)
            await self.look()
        await pool.execute("SELECT recount_students(ARRAY[$1::bigint])", student)

    async def assign(self) -> None:
        classes = self._chance.sample([0, 1, 2], 2)
        await self._school.pool.execute(
            """SELECT assign_rows($1, $2, $3, now() - interval '1 day', now() + interval '1 day',
                   2)""",
            await self._student(),
            *classes,
        )

    async def recount(self) -> None:
        student = await self._student()
        await self._school.pool.execute("SELECT recount_students(ARRAY[$1::bigint])", student)

    async def say_copy(self) -> None:
        await self._school.pool.execute(
            """INSERT INTO notebook_decisions (class_id, notebook_id, counts_for, decided_by)
               SELECT 1, copy.id, CASE WHEN $1 THEN n.id END, 'x'
               FROM notebooks AS copy JOIN notebooks AS n USING (class_id)
               WHERE class_id = 1 AND copy.path = 'lesson (1).ipynb' AND n.path = 'lesson.ipynb'
               ON CONFLICT (class_id, notebook_id) DO UPDATE SET counts_for = EXCLUDED.counts_for
            """,
            self._chance.random() < 0.5,
        )

    async def merge(self) -> None:
        pool = self._school.pool
        old, target = await self._student("s5"), await self._student("s4")
        if not await pool.fetchval("SELECT merged_into FROM students WHERE id = $1", old):
            await pool.execute("SELECT merge_students($1, $2)", old, target)
        while await pool.fetchval("SELECT merge_rows($1, $2, 2, false)", old, target):
            await self.look()

    async def _student(self, name: str | None = None) -> int:
        name = name or self._chance.choice([*STUDENTS, "hanako"])
        query = "SELECT COALESCE(merged_into, id) FROM students WHERE user_id = $1"
        if name == "s5":
            query = "SELECT id FROM students WHERE user_id = $1"
        student: int = await self._school.pool.fetchval(query, name)
        return student

    async def look(self) -> None:
        """Replaced by what compares."""


async def views(connection: Connection, notebook: int, place: str, kept: Kept | None) -> list[Any]:
    """All that is made of kept rows; errors as their texts."""
    attempts = AttemptsQuery(place=place)
    answers: list[Any] = []
    for view in (
        notebook_progress(connection, CLASSES, notebook, CellsQuery(), kept),
        student_cells(connection, CLASSES, notebook, StudentCellsQuery(), kept),
        assignment_students(connection, 1, kept, is_open=True),
        assignment_analysis(connection, 1, kept, is_open=True),
        cell_attempts(connection, CLASSES, notebook, attempts, kept),
        error_radar(connection, CLASSES, RadarQuery(minutes=10), kept),
        error_radar(connection, CLASSES, RadarQuery(minutes=60), kept),
    ):
        try:
            answers.append(await view)
        except NotFound as error:
            answers.append(str(error))
    return answers


async def placed_in_python(connection: Connection, notebook: int) -> list[tuple[Any, ...]]:
    people = await class_people(connection, CLASSES)
    aliases = (await class_notebook(connection, CLASSES, notebook)).alias_ids
    cells = ClassNotebook(1, aliases)
    await cells.update(connection, people, Pace(30.0))
    columns = [name.strip() for name in COLUMNS.split(",")]
    rows = [
        tuple(getattr(cell, name) for name in columns)
        for place in cells.places.values()
        for cell in place.cells
    ]
    return sorted(rows, key=lambda row: row[:3])


async def placed_in_sql(connection: Connection, notebook: int) -> list[tuple[Any, ...]]:
    people = await class_people(connection, CLASSES)
    aliases = (await class_notebook(connection, CLASSES, notebook)).alias_ids
    query = f"SELECT {COLUMNS} FROM ({PLACED}) AS p ORDER BY 1, 2, 3"
    return list(map(tuple, await connection.fetch(query, list(people.students), aliases, 1)))


# Of 100 the ids are merged while the target has done nothing yet.
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 100])
async def test_what_is_kept_is_what_would_be_read(school: School, seed: int) -> None:
    chance = random.Random(seed)
    walk, kept = Walk(school, chance), Kept(30.0)
    await walk.run()
    await school.write(make_event(student="s0", notebook="lesson.ipynb", cell="c0", code="x = 0"))
    notebook = await school.notebook("lesson.ipynb")
    await school.pool.execute(
        "INSERT INTO class_assignments (class_id, notebook_id, title) VALUES (1, $1, 'x')", notebook
    )
    taken: list[str] = []

    async def compare(connection: Connection) -> None:
        place = chance.choice(["index:0", "index:2", "added:1", "id:c0", "id:s1 0 1"])
        warm = await views(connection, notebook, place, kept)
        for a, b in zip(warm, await views(connection, notebook, place, None), strict=True):
            assert a == b, taken
        in_python = await placed_in_python(connection, notebook)
        assert in_python == await placed_in_sql(connection, notebook), taken

    async def look() -> None:
        if chance.random() < 0.3:  # what is stored and not counted yet
            await school.reads.read(compare)
        await school.read(compare)

    walk.look = look  # type: ignore[method-assign]
    for _ in range(STEPS):
        taken.append(await walk.take())
        await look()
